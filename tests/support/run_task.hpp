// Runs one coroutine to its end.
#pragma once

#include <postern/io/tasks.hpp>

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace postern::test {

// Loops that are free to use. They are never destroyed: the thread that resumed a coroutine may still be inside the
// loop's post when the coroutine has ended.
class borrowed_loop {
public:
  borrowed_loop() {
    std::lock_guard lock(shared().mutex);
    if (shared().idle.empty()) shared().idle.push_back(std::make_unique<asio::io_context>(1));
    loop_ = std::move(shared().idle.back());
    shared().idle.pop_back();
    loop_->restart();
  }
  borrowed_loop(const borrowed_loop&) = delete;
  borrowed_loop& operator=(const borrowed_loop&) = delete;
  ~borrowed_loop() {
    std::lock_guard lock(shared().mutex);
    shared().idle.push_back(std::move(loop_));
  }
  asio::io_context& operator*() { return *loop_; }

private:
  struct loops {
    std::mutex mutex;
    std::vector<std::unique_ptr<asio::io_context>> idle;
  };
  static loops& shared() {
    static auto& all = *new loops;
    return all;
  }
  std::unique_ptr<asio::io_context> loop_;
};

// Runs `t` on that loop until `t` has ended, and returns its value. Other work on the loop stays. Rethrows the
// exception of `t`.
template <class T> T run_on(asio::io_context& loop, task<T> t) {
  std::exception_ptr thrown;
  bool ended = false;
  const auto note_end = [&](std::exception_ptr e) {
    thrown = e;
    ended = true;
  };
  const auto run = [&] {
    if (loop.stopped()) loop.restart();
    while (!ended && loop.run_one() > 0) {
    }
    if (thrown) std::rethrow_exception(thrown);
    if (!ended) throw std::logic_error("the loop ended before the coroutine did");
  };
  if constexpr (std::is_void_v<T>) {
    asio::co_spawn(loop.get_executor(), std::move(t), note_end);
    run();
  } else {
    std::optional<T> value; // T need not have a default
    const auto keep = [](task<T> from, std::optional<T>& into) -> task<> { into.emplace(co_await std::move(from)); };
    asio::co_spawn(loop.get_executor(), keep(std::move(t), value), note_end);
    run();
    return std::move(*value);
  }
}

// Runs one step of a longer operation, such as a streamed body. All steps use the same loop, on which unfinished work
// waits for the next step. For one thread. The loop is never destroyed, for the same reason as above.
inline asio::io_context& loop_of_steps() {
  static auto& loop = *new asio::io_context(1);
  return loop;
}
template <class T> T run_step(task<T> t) { return run_on(loop_of_steps(), std::move(t)); }

// The same on an io_context of its own, on this thread, until the io_context has no work left.
template <class T> T run_task(task<T> t) {
  borrowed_loop borrowed;
  if constexpr (std::is_void_v<T>) {
    run_on(*borrowed, std::move(t));
    (*borrowed).run();
  } else {
    auto value = run_on(*borrowed, std::move(t));
    (*borrowed).run();
    return value;
  }
}

} // namespace postern::test
