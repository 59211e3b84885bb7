// Whether another server may be asked now. After several failures in a row it is not asked for a while, and then one
// question finds out whether it answers again. So requests that depend on a server that is down fail at once instead of
// waiting for it. Shared by all threads.
#pragma once

#include <chrono>
#include <mutex>

namespace postern {

class circuit_breaker {
public:
  using time_point = std::chrono::steady_clock::time_point;

  // Opens after `max_failures` failures in a row, for `pause`.
  circuit_breaker(int max_failures, std::chrono::milliseconds pause) : max_failures_(max_failures), pause_(pause) {}

  // Whether to ask now. After `pause` one caller may ask; the others may when it has succeeded. A caller that asks and
  // never says how it ended counts as a failure.
  bool may_ask(time_point now) {
    std::lock_guard lock(mutex_);
    if (failures_ < max_failures_) return true;
    if (now < silent_until_) return false;
    silent_until_ = now + pause_;
    return true;
  }

  // Returns whether the server had been given up before, so that the caller can say that it is back.
  bool note_success() {
    std::lock_guard lock(mutex_);
    const bool was_open = failures_ >= max_failures_;
    failures_ = 0;
    return was_open;
  }

  // Returns whether the server is given up by this failure, so that the caller can say so once.
  bool note_failure(time_point now) {
    std::lock_guard lock(mutex_);
    if (failures_ >= max_failures_) return false;
    if (++failures_ < max_failures_) return false;
    silent_until_ = now + pause_;
    return true;
  }

private:
  const int max_failures_;
  const std::chrono::milliseconds pause_;
  std::mutex mutex_;
  int failures_ = 0; // in a row
  time_point silent_until_{};
};

} // namespace postern
