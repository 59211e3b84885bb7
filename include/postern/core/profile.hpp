// A profile: the named set of rules under which uploads are signed. Plain values; the configuration has checked them.
#pragma once

#include <postern/core/quota.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace postern {

// Where a browser shows a downloaded object: it saves it as a file, or shows it in its window.
enum class shown_where : unsigned char { as_file, in_browser };

struct profile {
  std::string name;
  std::string bucket;                                // never empty once configured
  std::string key = "uploads/${id}/${filename}";     // see fill_key
  std::vector<std::string> key_metadata;             // names of metadata that the key may name as ${meta.NAME}
  std::uint64_t min_size = 0, max_size = 5ull << 30; // bytes
  std::vector<std::string> content_types{"*/*"};     // type/subtype, type/* or */*
  std::chrono::seconds expires{900};                 // lifetime of a policy
  std::vector<std::string> return_to;                // exact URLs, or prefixes ending in *
  std::string acl, storage_class, sse, sse_kms_key, cache_control, content_disposition;
  std::map<std::string, std::string> tags;
  bool overwrite = false;            // the key template need not contain ${id}
  quota limits;                      // of all uploads in this profile
  std::chrono::seconds unclaimed{0}; // after so long, a completed upload that nobody claimed is removed; 0: never
  shown_where download = shown_where::as_file;
  std::vector<std::string> inline_types; // shown in the browser in any case: type/subtype, type/* or */*
};

} // namespace postern
