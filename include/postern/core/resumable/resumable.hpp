// A file that comes in several requests: how much of it has come, and which request may add to it. The rules that tus
// 1.0 and the IETF's resumable uploads share; each has a unit of its own for its header fields. Sizes in bytes. Pure.
#pragma once

#include <postern/base/error.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace postern {

struct resumable_state {
  std::uint64_t offset = 0;                     // what is kept of the file
  std::optional<std::uint64_t> length;          // of the whole file; nothing: not declared yet
  std::uint64_t min_length = 0, max_length = 0; // that are allowed
  bool is_complete = false;                     // the whole file is stored
};

// The name of a file whose client names none.
inline constexpr std::string_view unnamed_file = "file";

// A request that adds bytes to a file.
struct append_request {
  std::uint64_t offset = 0;               // where its bytes belong
  std::optional<std::uint64_t> length;    // of the whole file, where the request says so
  std::optional<std::uint64_t> announced; // the size of its body; nothing: not known before its end
  bool is_last = false;                   // the file ends with this body (IETF: Upload-Complete: ?1)
};

// Whether the request may add its bytes. Returns the length of the whole file, as far as it is known then: with
// `is_last` and `announced`, the file ends where the body ends. A file that is complete takes only an empty body at its
// end, as from a client that missed the answer to its last request. errc::conflict: other bytes are expected next, or
// none; the text names both offsets. errc::bad_request: the lengths contradict each other, or the body goes beyond the
// file's length. errc::payload_too_large, errc::entity_too_small: the file's length is not allowed. When neither
// `length` nor `announced` is known, the caller compares the bytes as they come.
result<std::optional<std::uint64_t>> check_append(const resumable_state& have, const append_request& ask);

} // namespace postern
