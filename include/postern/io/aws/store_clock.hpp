// The time by the clock of the store. Whatever the store judges has this time: signatures, policies, and the expiry of
// credentials, which STS tells by the same clock. It is this machine's clock until the store refuses a request because
// the two differ. `storage` owns one; every thread uses it.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/log.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>

namespace postern {

using utc_clock = std::function<seconds_clock()>;

// store_clock::ahead, for units that know no store. Forms are signed and judged by the store's clock; claims and the
// ledger go by this machine's.
using store_clock_difference = std::function<std::chrono::seconds()>;

class store_clock {
public:
  explicit store_clock(utc_clock own) : own_(std::move(own)) {}

  seconds_clock now() const { return own_() + ahead(); }
  // How far the store's clock is ahead of this machine's. Negative: it is behind.
  std::chrono::seconds ahead() const { return std::chrono::seconds(ahead_.load(std::memory_order_relaxed)); }

  void adopt(seconds_clock theirs) {
    const auto ahead = theirs - own_();
    log::warning("this machine's clock is wrong", {{"seconds_ahead", -ahead.count()}});
    ahead_.store(ahead.count(), std::memory_order_relaxed);
  }

private:
  const utc_clock own_;
  std::atomic<std::int64_t> ahead_{0};
};

} // namespace postern
