// One upload as a value: its states, which step may follow which, and how it is shown to clients. Pure.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

enum class upload_state { issued, receiving, completed, failed, expired };
std::string_view name_of(upload_state s);
std::optional<upload_state> upload_state_of(std::string_view name);

// May `from` become `to`?  issued → receiving | completed | failed | expired; receiving → completed | failed | expired
// | issued (a broken fallback may be tried again); failed and expired → completed (the object was found after all) |
// receiving; completed is final.
bool may_follow(upload_state from, upload_state to);

// How a completion came to be known.
enum class completion_source { fallback, redirect, event, sweep };
std::string_view name_of(completion_source e);
std::optional<completion_source> completion_source_of(std::string_view name);

struct upload {
  std::string id; // UUIDv7
  upload_state state = upload_state::issued;
  std::string profile, user, bucket, key;
  std::vector<std::pair<std::string, std::string>> metadata; // as the application gave it
  std::uint64_t min_size = 0, max_size = 0;                  // what the policy allowed
  millis_clock created_at{}, expires_at{};
  // From here on known once completed:
  std::optional<std::uint64_t> size;
  std::string etag; // without quotes
  std::optional<std::uint32_t> crc32c;
  std::optional<millis_clock> completed_at;
  std::optional<completion_source> completed_by;
  std::optional<millis_clock> overwritten_at;
  std::string overwritten_etag;          // of what overwrote it last
  std::string failed_because;            // errc_text::name of the failure, when failed
  std::optional<std::uint64_t> received; // bytes so far, while receiving

  bool operator==(const upload&) const = default;
};

// The upload as JSON: id, state, size, etag, … ; key, bucket and metadata only with `whole` (CONTRACT §2: for callers
// who may sign). `received` is shown while receiving only.
std::string to_json(const upload& u, bool whole);

// A file name as it may stand in a key: what follows the last / or \, without control characters, at most 255 bytes cut
// at a character's border; "." , ".." and nothing become "file". Bytes that are not UTF-8 become U+FFFD.
std::string safe_filename(std::string_view name);

// The values that a profile's key template may name.
struct key_values {
  std::string_view id, filename, user, profile, date; // date is 2026/11/23
};
// Fills ${id} ${filename} ${user} ${profile} ${date}. errc::invalid_argument for an unknown name or an unclosed ${ ;
// errc::key_too_long over 1024 bytes.
result<std::string> fill_key(std::string_view key_template, const key_values& v);

// The id inside a key that was made by fill_key: the first path part or piece of it that is a UUID. Nothing when there
// is none.
std::optional<std::string> id_in_key(std::string_view key);
// Everything in the key that could be the id: a key may also have the user's id or a file's name in that form.
std::vector<std::string> ids_in_key(std::string_view key);

} // namespace postern
