// How a C++ test that cannot run ends: ctest and tests/run count it as skipped and show the reason.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace postern::test {

// Ends the program as skipped. `reason` says what is missing. No destructor runs.
[[noreturn]] inline void skip_all(const char* reason) {
  std::printf("SKIPPED: %s\n", reason);
  std::fflush(stdout);
  std::_Exit(77);
}

} // namespace postern::test
