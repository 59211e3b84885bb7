#include <postern/base/encoding.hpp>
#include <postern/base/random.hpp>
#include <postern/base/uuid.hpp>

#include <algorithm>
#include <array>

namespace postern {

millis_clock time_of_uuid_v7(std::string_view text) {
  std::int64_t ms = 0;
  for (const char c : text.substr(0, 13))
    if (c != '-') ms = ms << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
  return millis_clock{std::chrono::milliseconds(ms)};
}

std::string uuid_v7(millis_clock t, std::span<const unsigned char, 10> random) {
  std::array<unsigned char, 16> id;
  const auto ms = static_cast<std::uint64_t>(t.time_since_epoch().count());
  for (std::size_t i = 0; i < 6; ++i) id[i] = static_cast<unsigned char>(ms >> (40 - 8 * i));
  std::copy(random.begin(), random.end(), id.begin() + 6);
  id[6] = static_cast<unsigned char>(0x70 | (id[6] & 0x0f));
  id[8] = static_cast<unsigned char>(0x80 | (id[8] & 0x3f));
  auto out = to_hex(id);
  for (const auto at : {8u, 13u, 18u, 23u}) out.insert(at, 1, '-');
  return out;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < 36; ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return false;
    } else if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f'))) {
      return false;
    }
  }
  return true;
}

std::string new_uuid_v7(millis_clock t) {
  std::array<unsigned char, 10> random;
  random_bytes(random);
  return uuid_v7(t, random);
}

} // namespace postern
