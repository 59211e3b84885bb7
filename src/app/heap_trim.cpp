#include <postern/app/heap_trim.hpp>
#include <postern/base/log.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <malloc.h>
#include <unistd.h>

namespace postern::app {
namespace {

// proc(5): the second number of statm is the resident memory in pages.
std::int64_t resident_bytes() {
  std::int64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

} // namespace

bool heap_trim::is_due(std::int64_t excess) {
  lowest_ = std::min(lowest_, excess);
  return excess - lowest_ >= step;
}

void heap_trim::look(std::uint64_t taken) {
  const auto uploads = static_cast<std::int64_t>(taken);
  const auto before = resident_bytes();
  if (!is_due(before - uploads)) return;
  const auto begin = std::chrono::steady_clock::now();
  ::malloc_trim(0);
  const auto took = std::chrono::steady_clock::now() - begin;
  const auto after = resident_bytes();
  note_trimmed(after - uploads);
  log::debug("heap trimmed", {{"ms", std::chrono::floor<std::chrono::milliseconds>(took).count()},
                              {"resident_before", before},
                              {"resident", after},
                              {"uploads", uploads}});
}

} // namespace postern::app
