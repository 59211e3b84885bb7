// The delimiter that ends a part of a form. Finds it in the file's bytes without looking at each byte. Pure; immutable.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace postern {

class delimiter {
public:
  explicit delimiter(std::string_view boundary);

  std::string_view text() const { return text_; } // "\r\n--boundary"

  // The position of the first delimiter in `hay`, or of a beginning of it that the end of `hay` cuts off; else npos.
  std::size_t find(std::span<const char> hay) const;

private:
  std::size_t find_whole(std::span<const char> hay) const;
  bool may_contain(const char* four_bytes) const;

  std::string text_;
  std::array<std::uint64_t, 64> quads_{}; // a bit for each hash of four bytes in a row that stand in text_
};

} // namespace postern
