#include <postern/core/s3/delimiter.hpp>

#include <algorithm>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace postern {
namespace {

constexpr std::size_t nowhere = std::string_view::npos;
constexpr std::size_t shortest_to_skip = 16; // a shorter delimiter is not worth skipping for

// The first position of `needle` (at least two bytes) in `hay`. Compares the first and the last byte of sixteen
// positions at a time.
std::size_t find_needle(std::span<const char> hay, std::string_view needle) {
  if (hay.size() < needle.size()) return nowhere;
  std::size_t at = 0;
#ifdef __SSE2__
  const auto first = _mm_set1_epi8(needle.front()), last = _mm_set1_epi8(needle.back());
  const auto load = [&](std::size_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(hay.data() + i)); };
  for (const auto distance = needle.size() - 1; at + distance + 16 <= hay.size(); at += 16) {
    const auto both = _mm_and_si128(_mm_cmpeq_epi8(load(at), first), _mm_cmpeq_epi8(load(at + distance), last));
    for (auto mask = static_cast<unsigned>(_mm_movemask_epi8(both)); mask; mask &= mask - 1) {
      const auto candidate = at + static_cast<std::size_t>(__builtin_ctz(mask));
      if (std::memcmp(hay.data() + candidate, needle.data(), needle.size()) == 0) return candidate;
    }
  }
#endif
  const auto* found = static_cast<const char*>(memmem(hay.data() + at, hay.size() - at, needle.data(), needle.size()));
  return found ? static_cast<std::size_t>(found - hay.data()) : nowhere;
}

// A hash of twelve bits.
std::uint32_t hash_of(const char* four_bytes) {
  std::uint32_t n;
  std::memcpy(&n, four_bytes, 4);
  return n * 0x9e3779b1u >> 20;
}

} // namespace

delimiter::delimiter(std::string_view boundary) : text_("\r\n--") {
  text_ += boundary;
  for (std::size_t i = 0; i + 4 <= text_.size(); ++i) {
    const auto h = hash_of(text_.data() + i);
    quads_[h / 64] |= std::uint64_t{1} << h % 64;
  }
}

bool delimiter::may_contain(const char* four_bytes) const {
  const auto h = hash_of(four_bytes);
  return quads_[h / 64] >> h % 64 & 1;
}

// Samples four bytes in each stretch that is as long as the delimiter. A delimiter would cover at least one sample, so
// only the surroundings of a sample that occurs in the delimiter are searched byte by byte.
std::size_t delimiter::find_whole(std::span<const char> hay) const {
  if (text_.size() < shortest_to_skip) return find_needle(hay, text_);
  const auto step = text_.size() - 3;
  const auto around = (step + 15) / 16 * 16 + text_.size() - 1; // a multiple of find_needle's sixteen positions
  auto samples_left = 16 + hay.size() / step / 8; // when many samples look like the delimiter, skipping does not pay
  for (auto at = step - 1; at + 4 <= hay.size(); at += step) {
    if (!may_contain(hay.data() + at)) continue;
    const auto begin = at - (step - 1);
    if (samples_left-- == 0) {
      const auto found = find_needle(hay.subspan(begin), text_);
      return found == nowhere ? nowhere : begin + found;
    }
    const auto found = find_needle(hay.subspan(begin, std::min(hay.size() - begin, around)), text_);
    if (found != nowhere) return begin + found;
  }
  return nowhere;
}

// The delimiter's only CR is its first byte, so only the last CR in `hay` can begin a delimiter that is cut off.
std::size_t delimiter::find(std::span<const char> hay) const {
  if (const auto at = find_whole(hay); at != nowhere) return at;
  const auto tail = std::min(hay.size(), text_.size() - 1);
  const auto* cr = static_cast<const char*>(memrchr(hay.data() + hay.size() - tail, '\r', tail));
  if (!cr) return nowhere;
  const auto at = static_cast<std::size_t>(cr - hay.data());
  return std::memcmp(cr, text_.data(), hay.size() - at) == 0 ? at : nowhere;
}

} // namespace postern
