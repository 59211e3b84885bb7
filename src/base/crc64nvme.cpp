#include <postern/base/digest.hpp>

#include <array>

namespace postern {
namespace {

constexpr std::uint64_t polynomial = 0x9a6c9329ac4bc9b5; // the coefficient of x^0 in the highest bit
constexpr std::size_t step = 16;                         // bytes; as many tables are needed

using crc_table = std::array<std::uint64_t, 256>;

// tables[n][b] is what byte b changes in the CRC when n bytes follow it in the same step.
constexpr std::array<crc_table, step> make_tables() {
  std::array<crc_table, step> out{};
  for (std::uint64_t byte = 0; byte < 256; ++byte) {
    auto crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
    out[0][byte] = crc;
  }
  for (std::size_t n = 1; n < step; ++n)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto before = out[n - 1][byte];
      out[n][byte] = before >> 8 ^ out[0][before & 0xff];
    }
  return out;
}

constexpr auto tables = make_tables();

// Eight bytes, the first one lowest. Compilers turn this into one load.
std::uint64_t load(const char* bytes) {
  std::uint64_t out = 0;
  for (unsigned n = 0; n < 8; ++n) out |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[n])) << (8 * n);
  return out;
}

// The CRC of these eight bytes when `behind` bytes follow them in the same step.
std::uint64_t look_up(std::uint64_t word, std::size_t behind) {
  const auto* t = tables.data() + behind;
  return t[7][word & 0xff] ^ t[6][word >> 8 & 0xff] ^ t[5][word >> 16 & 0xff] ^ t[4][word >> 24 & 0xff] ^
         t[3][word >> 32 & 0xff] ^ t[2][word >> 40 & 0xff] ^ t[1][word >> 48 & 0xff] ^ t[0][word >> 56];
}

} // namespace

std::uint64_t crc64nvme(std::uint64_t so_far, std::span<const char> data) {
  auto crc = ~so_far;
  for (; data.size() >= step; data = data.subspan(step))
    crc = look_up(crc ^ load(data.data()), 8) ^ look_up(load(data.data() + 8), 0);
  for (const char byte : data) crc = crc >> 8 ^ tables[0][(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

} // namespace postern
