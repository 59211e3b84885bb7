// Waits for what another thread or process does.
#pragma once

#include <chrono>
#include <thread>

namespace postern::test {

// Asks every millisecond. False: `is_so` has not become true within 60 s.
template <class Question> bool wait_until(Question is_so) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

} // namespace postern::test
