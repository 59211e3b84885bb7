#include <postern/base/text.hpp>
#include <postern/core/http/byte_range.hpp>

#include <algorithm>
#include <limits>
#include <optional>

namespace postern {
namespace {

// A position of a range. A number that is too large for any object stands for the largest one.
std::optional<std::uint64_t> position(std::string_view digits) {
  if (digits.empty() || digits.find_first_not_of("0123456789") != digits.npos) return std::nullopt;
  return parse_number(digits).value_or(std::numeric_limits<std::uint64_t>::max());
}

} // namespace

byte_range choose_range(std::string_view field, std::uint64_t size) {
  using enum byte_range::answer;
  const byte_range all{whole, 0, size};
  const auto equals = field.find('=');
  if (equals == field.npos || !iequals(field.substr(0, equals), "bytes")) return all;
  const auto range = trim(field.substr(equals + 1));
  const auto dash = range.find('-');
  if (dash == range.npos) return all;
  const auto from = position(range.substr(0, dash)), to = position(range.substr(dash + 1));
  if (dash == 0) { // the last bytes
    if (!to) return all;
    if (*to == 0) return {outside, 0, 0};
    if (size == 0) return all; // satisfiable, but Content-Range cannot say so
    const auto length = std::min(*to, size);
    return {part, size - length, length};
  }
  const bool has_end = dash + 1 < range.size();
  if (!from || (has_end && (!to || *to < *from))) return all;
  if (*from >= size) return {outside, 0, 0};
  const auto last = has_end ? std::min(*to, size - 1) : size - 1;
  return {part, *from, last - *from + 1};
}

std::string content_range(const byte_range& r, std::uint64_t size) {
  const auto of = "/" + std::to_string(size);
  if (r.as == byte_range::answer::outside) return "bytes *" + of;
  return "bytes " + std::to_string(r.first) + "-" + std::to_string(r.first + r.length - 1) + of;
}

bool allows_range(std::string_view if_range, std::string_view etag) {
  return if_range.empty() || (!etag.empty() && if_range == "\"" + std::string(etag) + "\"");
}

} // namespace postern
