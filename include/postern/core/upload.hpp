// One upload as a value: its states, which state may follow which, and its JSON form. Pure.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

// checking: the object is stored, and the application is still to accept it. removing: the object is being deleted.
enum class upload_state { issued, receiving, checking, completed, rejected, failed, expired, removing, removed };
inline constexpr std::size_t upload_state_count = 9;
std::string_view name_of(upload_state s);
std::optional<upload_state> upload_state_of(std::string_view name);
std::string upload_state_names(); // "issued, receiving, … or removed"

// May `from` become `to`? The table of transitions stands in src/README.md. receiving → issued: the body broke off, and
// the form can be posted again; receiving → receiving: it is posted again; failed and expired → completed: the object
// was found after all.
bool may_follow(upload_state from, upload_state to);

// How a completion became known.
enum class completion_source { fallback, redirect, event, sweep, probe };
std::string_view name_of(completion_source e);
std::optional<completion_source> completion_source_of(std::string_view name);

// By which way the bytes of a file come to the store.
enum class upload_way { form, put, multipart, resumable, fallback };
std::string_view name_of(upload_way w);
std::optional<upload_way> upload_way_of(std::string_view name);
// Whether the bytes come in several requests, between which the store keeps what has come.
inline bool comes_in_parts(upload_way w) { return w == upload_way::multipart || w == upload_way::resumable; }
// The object's metadata that names the way by which it came, unless by a form.
inline constexpr std::string_view way_metadata = "postern-way";

struct upload {
  std::string id; // UUIDv7
  upload_state state = upload_state::issued;
  std::string profile, user, bucket, key;
  std::vector<std::pair<std::string, std::string>> metadata; // from the application
  std::uint64_t min_size = 0, max_size = 0;                  // that the policy allows
  std::string content_type;                                  // that was signed; empty: unknown
  millis_clock created_at{}, expires_at{};
  // The following are known once the upload is completed:
  std::optional<std::uint64_t> size;
  std::string etag; // without quotes
  std::optional<std::uint32_t> crc32c;
  std::optional<millis_clock> completed_at;
  std::optional<completion_source> completed_by;
  std::optional<upload_way> way; // known from the first call for parts on, or once it is completed
  std::optional<millis_clock> overwritten_at;
  std::string overwritten_etag; // of the newest overwrite
  // Of a profile with an accept hook: the key from the template, under which the object stands once it is accepted.
  // Until then `key` is where it is stored, in quarantine; then `key` is final_key, and form_key is where it was
  // stored.
  std::string final_key, form_key;
  std::optional<millis_clock> stored_at;   // when checking began
  bool is_accepted = false;                // while checking: the verdict is known, the object is being moved
  unsigned asked = 0;                      // questions to the hook that brought no verdict
  std::string reason;                      // why it was rejected
  std::optional<millis_clock> claim_until; // then it is removed, because the application has not claimed it
  std::optional<millis_clock> claimed_at;  // by the application
  std::string claimed_as;                  // the application's own reference
  std::optional<millis_clock> removed_at;
  std::string failed_because;            // errc_text::name of the failure, when failed
  std::optional<std::uint64_t> received; // bytes so far, while receiving

  // Of a profile with a quota:
  std::optional<std::int64_t> quota_day; // to which the upload counts (quota, day_of)
  std::optional<std::uint64_t> reserved; // bytes, while the form can store them
  std::optional<std::uint64_t> charged;  // bytes, of the newest object that was confirmed

  bool operator==(const upload&) const = default;
};

// The upload as JSON: id, state, size, etag, … ; key, bucket and metadata only with `whole`, for callers
// who may read them. `received` is shown while receiving only.
std::string to_json(const upload& u, bool whole);

// A file name that may stand in a key: the part after the last / or \, without control characters, cut to 255 bytes at
// a character's border. An empty name, "." and ".." become "file". Bytes that are not UTF-8 become U+FFFD.
std::string safe_filename(std::string_view name);

inline constexpr std::string_view meta_variable = "meta."; // in a key template: ${meta.NAME}

// The values that a profile's key template may name.
struct key_values {
  std::string_view id, filename, user, profile, date;                 // date is 2026/11/23
  std::span<const std::pair<std::string, std::string>> metadata = {}; // ${meta.NAME}; the names in lower case
};
// Fills ${id} ${filename} ${user} ${profile} ${date} ${meta.NAME}. errc::invalid_argument for an unknown name or an
// unclosed ${ ; errc::key_too_long over 1024 bytes.
result<std::string> fill_key(std::string_view key_template, const key_values& v);

// The UUIDs anywhere in a key. In a key that fill_key made, the upload's id is one of them; the user's id or the file's
// name may be another.
std::vector<std::string> ids_in_key(std::string_view key);

} // namespace postern
