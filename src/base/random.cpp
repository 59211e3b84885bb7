#include <postern/base/random.hpp>

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace postern {

void random_bytes(std::span<unsigned char> into) {
  // The generator fills a page at a time: asking for ten bytes would cost more than everything else in making an id.
  thread_local std::array<unsigned char, 4096> page;
  thread_local std::size_t used = page.size();
  while (!into.empty()) {
    if (used == page.size()) {
      if (RAND_bytes(page.data(), static_cast<int>(page.size())) != 1) std::abort();
      used = 0;
    }
    const auto n = std::min(into.size(), page.size() - used);
    std::memcpy(into.data(), page.data() + used, n);
    std::memset(page.data() + used, 0, n); // bytes that were handed out must not stay in memory
    used += n;
    into = into.subspan(n);
  }
}

double random_fraction() {
  std::array<unsigned char, 4> bytes;
  random_bytes(bytes);
  std::uint32_t n = 0;
  std::memcpy(&n, bytes.data(), sizeof n);
  return static_cast<double>(n) / 4294967296.0;
}

} // namespace postern
