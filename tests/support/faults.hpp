// Makes the Nth call to one peer of the program fail: its store, its ledger, its clock, its memory. The peer's stand-in
// asks at each call whether this one fails, and how. Any thread.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/redirect_error.hpp>

#include <chrono>
#include <cstddef>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

namespace postern::test {

enum class fault {
  refused,       // the error of a peer that is broken: errc::store_failed, errc::ledger_failed
  unavailable,   // the error of a peer that is away
  answer_lost,   // the call takes effect, and its answer is errc::unavailable
  thrown,        // std::runtime_error: a bug
  out_of_memory, // std::bad_alloc
  late,          // the call succeeds after a while
  clock_ahead,   // from this call on, the clock is a day ahead
  clock_back,    // from this call on, the clock is a day back
  clock_once,    // this one reading is a day ahead
};

inline const char* name_of(fault f) {
  static constexpr const char* names[] = {"refused", "unavailable", "answer_lost", "thrown",    "out_of_memory",
                                          "late",    "clock_ahead", "clock_back",  "clock_once"};
  return names[static_cast<std::size_t>(f)];
}

class faults {
public:
  static constexpr std::chrono::milliseconds lateness{60};

  // Counts calls from now on. Call `nth` fails; 0: none.
  void arm(fault how, std::size_t nth) {
    std::lock_guard lock(mutex_);
    is_armed_ = true, how_ = how, nth_ = nth, calls_ = 0;
    struck_ = nullptr;
  }
  // Returns the number of calls.
  std::size_t disarm() {
    std::lock_guard lock(mutex_);
    is_armed_ = false;
    return calls_;
  }
  // The call that failed; nullptr: none.
  const char* struck() const {
    std::lock_guard lock(mutex_);
    return struck_;
  }

  // One call to the peer begins. `what`: a constant text.
  std::optional<fault> next(const char* what) {
    std::lock_guard lock(mutex_);
    if (!is_armed_ || ++calls_ != nth_) return std::nullopt;
    struck_ = what;
    return how_;
  }

  // The call `made`, which has not begun, or the failure that it has now. `refusal`: the error of fault::refused.
  template <class T> task<result<T>> around(const char* what, errc refusal, task<result<T>> made) {
    const auto now = next(what);
    throw_if(now);
    if (now == fault::refused) co_return failure(refusal, injected);
    if (now == fault::unavailable) co_return failure(errc::unavailable, injected);
    if (now == fault::late) co_await wait();
    auto answer = co_await std::move(made);
    if (now == fault::answer_lost) co_return failure(errc::unavailable, injected);
    co_return answer;
  }

  static void throw_if(std::optional<fault> now) {
    if (now == fault::thrown) throw std::runtime_error(injected);
    if (now == fault::out_of_memory) throw std::bad_alloc();
  }
  static task<> wait() {
    boost::system::error_code ec;
    timer t(co_await asio::this_coro::executor, lateness);
    co_await t.async_wait(asio::redirect_error(use_task, ec));
  }

private:
  static constexpr const char* injected = "a fault that the test injects";
  mutable std::mutex mutex_;
  bool is_armed_ = false;
  fault how_ = fault::refused;
  std::size_t nth_ = 0, calls_ = 0;
  const char* struck_ = nullptr;
};

} // namespace postern::test
