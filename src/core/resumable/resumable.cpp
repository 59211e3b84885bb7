#include <postern/core/resumable/resumable.hpp>

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

namespace postern {
namespace {

constexpr auto no_file_has = std::numeric_limits<std::uint64_t>::max(); // so many bytes

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

std::string bytes(std::uint64_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); }

// Where the request's body ends in the file, or no_file_has if 64 bits cannot say where. Nothing: not known before the
// body's end.
std::optional<std::uint64_t> end_of(const append_request& ask) {
  if (!ask.announced) return std::nullopt;
  return ask.offset + std::min(*ask.announced, no_file_has - ask.offset);
}

// The length of the whole file that the request declares: in so many words, or because the file ends with its body.
result<std::optional<std::uint64_t>> declared_length(const append_request& ask) {
  const auto end = ask.is_last ? end_of(ask) : std::nullopt;
  if (end && ask.length && *end != *ask.length)
    return bad("the file ends with this body at " + bytes(*end) + ", but its length is declared as " +
               bytes(*ask.length));
  return end ? end : ask.length;
}

// Whether the file may have this length, which the request declares.
result<void> check_length(const resumable_state& have, std::uint64_t length) {
  if (have.length && *have.length != length)
    return bad("the file's length was declared as " + bytes(*have.length) + ", now as " + bytes(length));
  if (length > have.max_length || length == no_file_has)
    return failure{errc::payload_too_large,
                   "the file has " + bytes(length) + ", at most " + bytes(have.max_length) + " are allowed"};
  if (length < have.min_length)
    return failure{errc::entity_too_small,
                   "the file has " + bytes(length) + ", at least " + bytes(have.min_length) + " are needed"};
  if (length < have.offset)
    return bad("the file's length is declared as " + bytes(length) + ", but " + bytes(have.offset) +
               " of it are stored");
  return {};
}

// A client may repeat its last request without its bytes, to learn whether the file is stored. All else would change a
// file that is complete.
result<std::optional<std::uint64_t>> check_repeated_end(const resumable_state& have, const append_request& ask) {
  const auto length = have.length.value_or(have.offset);
  if (ask.offset != length || ask.announced != std::uint64_t{0} || ask.length.value_or(length) != length)
    return failure{errc::conflict, "the file is complete with " + bytes(length) +
                                       " and takes no more; the request's offset is " + std::to_string(ask.offset)};
  return std::optional(length);
}

} // namespace

result<std::optional<std::uint64_t>> check_append(const resumable_state& have, const append_request& ask) {
  if (have.is_complete) return check_repeated_end(have, ask);
  // Ahead of the lengths: those that follow from a wrong offset are wrong too.
  if (ask.offset != have.offset)
    return failure{errc::conflict, "the next byte of the file is that at offset " + std::to_string(have.offset) +
                                       ", but the request's offset is " + std::to_string(ask.offset)};
  const auto declared = declared_length(ask);
  if (!declared) return declared.error();
  if (*declared)
    if (auto allowed = check_length(have, **declared); !allowed) return allowed.error();
  const auto length = *declared ? *declared : have.length;
  const auto end = end_of(ask).value_or(ask.offset);
  if (length && end > *length) return bad("the body ends at " + bytes(end) + ", but the file has " + bytes(*length));
  if (!length && (end > have.max_length || end == no_file_has))
    return failure{errc::payload_too_large,
                   "the body ends at " + bytes(end) + ", but the file may have at most " + bytes(have.max_length)};
  return length;
}

} // namespace postern
