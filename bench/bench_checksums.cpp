// How many bytes a second go through each checksum that a form may announce, on one core, beside CRC32C, which each
// fallback upload has anyway?
#include "measure.hpp"
#include <postern/base/digest.hpp>

#include <random>
#include <string>

using namespace postern;

namespace {

constexpr std::size_t size = 256 << 20, piece_size = 1 << 20;

double rate_of(running_digest::kind which, const std::string& data) {
  const double seconds = bench::best_of(3, [&] {
    running_digest sum(which);
    for (std::size_t at = 0; at < data.size(); at += piece_size)
      sum.add(std::span(data).subspan(at, std::min(piece_size, data.size() - at)));
    bench::use(sum.finish());
  });
  return static_cast<double>(data.size()) / 1e9 / seconds;
}

} // namespace

int main() {
  std::string data(size, '\0');
  std::mt19937_64 random(1);
  for (auto& byte : data) byte = static_cast<char>(random());
  using kind = running_digest::kind;
  const double every = rate_of(kind::crc32c, data);
  for (const auto& [name, which] : {std::pair{"crc32c", kind::crc32c},
                                    {"crc32", kind::crc32},
                                    {"crc64nvme", kind::crc64nvme},
                                    {"sha1", kind::sha1},
                                    {"sha256", kind::sha256},
                                    {"md5", kind::md5}}) {
    const double rate = which == kind::crc32c ? every : rate_of(which, data);
    std::printf("checksum, %-10s %6.2f GB/s   of crc32c's %.2f\n", name, rate, rate / every);
  }
}
