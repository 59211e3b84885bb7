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

// Loops that are free to use. They are never destroyed, because the thread that woke a coroutine may still be inside
// its loop's post when the coroutine has ended.
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

// Runs `t` on that loop until it has ended and answers its value; what else is there stays. What it threw is thrown
// again.
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

// One step of something longer, such as a body that is streamed: always on the same loop, where what is half done stays
// until the next step. For one thread. The loop is never destroyed, for the same reason as above.
inline asio::io_context& loop_of_steps() {
  static auto& loop = *new asio::io_context(1);
  return loop;
}
template <class T> T run_step(task<T> t) { return run_on(loop_of_steps(), std::move(t)); }

// The same on an io_context that nobody else uses, on this thread, until nothing is left to do there.
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
