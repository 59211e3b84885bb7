// A profile: the named set of rules under which uploads are signed. Plain values; the configuration has checked them.
#pragma once

#include <postern/base/log.hpp>
#include <postern/core/file_type.hpp>
#include <postern/core/quota.hpp>
#include <postern/core/upload.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace postern {

// Where a browser shows a downloaded object: it saves it as a file, or shows it in its window.
enum class shown_where : unsigned char { as_file, in_browser };

// The application, or a virus scanner in its place, which judges each stored object before its upload is completed.
struct accept_hook {
  std::string url;                           // empty: there is none, and a stored object completes its upload
  secret key;                                // signs the questions, as in Standard Webhooks
  std::chrono::milliseconds timeout{30'000}; // of one question
  std::chrono::seconds deadline{24 * 3600};  // an upload without a verdict by then is rejected
  std::string quarantine = "quarantine/";    // forms store under this prefix and the key, until the object is accepted
  bool allow_private = false;                // private addresses and plain HTTP
  std::string ca_file;                       // PEM; empty: the system's authorities

  bool exists() const { return !url.empty(); }
  bool operator==(const accept_hook&) const = default;
};

// What is compared before an upload is completed. Key, size and content type are compared with what was signed in any
// case. type: the first bytes are looked at. checksum: the form must have a checksum of the file.
enum class profile_check { size, content_type, type, checksum };

// What becomes of the object of a file whose first bytes are not what it declares.
enum class mismatch_action { remove, keep };

struct profile {
  std::string name;
  std::string store;                                 // one of [[stores]], by name; empty: [store]
  std::string bucket;                                // never empty once configured
  std::string key = "uploads/${id}/${filename}";     // see fill_key
  std::vector<std::string> key_metadata;             // names of metadata that the key may name as ${meta.NAME}
  std::uint64_t min_size = 0, max_size = 5ull << 30; // bytes
  std::vector<std::string> content_types{"*/*"};     // type/subtype, type/* or */*
  std::chrono::seconds expires{900};                 // lifetime of a policy
  std::vector<std::string> return_to;                // exact URLs, or prefixes ending in *
  std::string acl, storage_class, sse, sse_kms_key, cache_control, content_disposition;
  std::map<std::string, std::string> tags;
  // By which ways a file may come, the best first.
  std::vector<upload_way> ways{upload_way::form, upload_way::put, upload_way::multipart, upload_way::resumable,
                               upload_way::fallback};
  std::uint64_t multipart_from = 100'000'000; // bytes; of a file of this size or more, multipart is the best way
  bool overwrite = false;                     // the key template need not contain ${id}
  quota limits;                               // of all uploads in this profile
  accept_hook accept;
  std::chrono::seconds unclaimed{0}; // after so long, a completed upload that nobody claimed is removed; 0: never
  shown_where download = shown_where::as_file;
  std::vector<std::string> inline_types; // shown in the browser in any case: type/subtype, type/* or */*
  std::vector<profile_check> verify{profile_check::size, profile_check::content_type};
  mismatch_action on_mismatch = mismatch_action::remove;
  postern::type_equivalents type_equivalents;

  bool checks(profile_check c) const { return std::find(verify.begin(), verify.end(), c) != verify.end(); }
};

} // namespace postern
