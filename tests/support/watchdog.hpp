// Ends the processes of a test when the test process is gone: killed by a time limit, crashed, or ended without
// cleaning up. watchdog.py does the work in a process of its own, which starts with the first call and ends after this
// one.
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>
#include <sys/types.h>

namespace postern::test {

inline void tell_watchdog(const std::string& line) {
  // Closed on exec, so no child keeps the pipe open.
  static std::FILE* const pipe =
      ::popen("exec setsid --fork python3 '" POSTERN_SOURCE_DIR "/tests/support/watchdog.py' >/dev/null 2>&1", "we");
  if (!pipe || std::fprintf(pipe, "%s\n", line.c_str()) < 0 || std::fflush(pipe) != 0)
    throw std::runtime_error("the watchdog does not start");
}

// `signal` comes first: "QUIT" or "INT". SIGKILL follows after five seconds.
inline void watch(pid_t pid, const std::string& signal) {
  tell_watchdog("process " + std::to_string(pid) + " " + signal);
}

inline void watch_folder(const std::string& path) { tell_watchdog("folder " + path); }

} // namespace postern::test
