// The system's clock of a test program: the test moves it, and its Nth reading jumps. It takes the place of
// std::chrono::system_clock::now, which all of the program reads, so include it in one source of a test only.
#pragma once

#include "faults.hpp"

#include <atomic>
#include <chrono>
#include <ctime>

namespace postern::test {

class faulty_clock {
public:
  static inline faults fails;
  static constexpr std::chrono::nanoseconds jump = std::chrono::hours(24);

  static void advance(std::chrono::nanoseconds d) { moved += d.count(); }
  // Ends a jump.
  static void set_right() { jumped = 0; }

  static std::chrono::nanoseconds read() {
    timespec real{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    const auto now = fails.next("now");
    if (now == fault::clock_ahead) jumped = jump.count();
    if (now == fault::clock_back) jumped = -jump.count();
    const auto once = now == fault::clock_once ? jump : std::chrono::nanoseconds(0);
    return std::chrono::seconds(real.tv_sec) + std::chrono::nanoseconds(real.tv_nsec + moved + jumped) + once;
  }

private:
  static inline std::atomic<std::int64_t> moved = 0, jumped = 0; // nanoseconds
};

} // namespace postern::test

std::chrono::system_clock::time_point std::chrono::system_clock::now() noexcept {
  return time_point(std::chrono::duration_cast<duration>(postern::test::faulty_clock::read()));
}
