// How work is started, awaited and ended. One io_context runs on one thread; a connection lives and dies there. There
// are three ways to start work: co_await it, join it with siblings (both), or give it to a group that someone awaits.
// Nothing is detached.
#pragma once

#include <postern/base/error.hpp>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

namespace postern {

namespace asio = boost::asio;

// The concrete executor spares a virtual call and an allocation at each step of each coroutine.
using io_executor = asio::io_context::executor_type;
template <class T = void> using task = asio::awaitable<T, io_executor>;
inline constexpr asio::use_awaitable_t<io_executor> use_task{};
using timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, io_executor>;
using tcp_socket = asio::basic_stream_socket<asio::ip::tcp, io_executor>;
using tcp_acceptor = asio::basic_socket_acceptor<asio::ip::tcp, io_executor>;

// Runs f() on a thread of the pool, for calls that block (files), and comes back to the caller's thread with what it
// answered. f must not throw expected failures; what it refers to must live until it is done, which it does when the
// caller's frame owns it. Cannot be cancelled.
template <class F> auto on_pool(asio::thread_pool& pool, F f) -> task<std::invoke_result_t<F>> {
  auto home = co_await asio::this_coro::executor;
  co_await asio::post(asio::bind_executor(pool.get_executor(), use_task));
  std::exception_ptr bug;
  if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
    try {
      f();
    } catch (...) {
      bug = std::current_exception();
    }
    co_await asio::post(asio::bind_executor(home, use_task));
    if (bug) std::rethrow_exception(bug);
  } else {
    std::optional<std::invoke_result_t<F>> answer;
    try {
      answer.emplace(f());
    } catch (...) {
      bug = std::current_exception();
    }
    co_await asio::post(asio::bind_executor(home, use_task));
    if (bug) std::rethrow_exception(bug);
    co_return std::move(*answer);
  }
}

// Awaits one value that another thread will give. start(reply) is called at once, on the caller's thread; reply is a
// copyable function object that must be called exactly once, from any thread; the coroutine goes on, on its own thread.
// The loop does not end before.
// The io_context must outlive the thread that answers, not only the answer: Asio still touches it after the coroutine
// has been woken. So pools are joined and ledgers destroyed first. The same holds for on_pool.
template <class T, class Start> task<T> reply_from(Start start) {
  const auto initiate = [&start](auto handler) {
    auto home = asio::get_associated_executor(handler);
    auto kept = std::make_shared<decltype(handler)>(std::move(handler));
    start([kept, home](T value) {
      asio::post(home, [kept, value = std::move(value)]() mutable { (*kept)(std::exception_ptr{}, std::move(value)); });
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<io_executor>, void(std::exception_ptr, T)>(
      initiate, use_task);
}

// What `t` answers, or errc::timed_out saying `what` when `most` has passed; then t is cancelled, and has ended when
// this returns.
template <class T> task<result<T>> within(std::chrono::milliseconds max, task<result<T>> t, std::string what) {
  using namespace asio::experimental::awaitable_operators;
  timer limit(co_await asio::this_coro::executor, max);
  auto either = std::move(t) || limit.async_wait(use_task);
  auto first = co_await std::move(either);
  if (first.index() == 0) co_return std::get<0>(std::move(first));
  co_return failure{errc::timed_out, std::move(what)};
}

// A changing number of coroutines of one thread that someone awaits. Start, count and wait on that thread only. An
// exception in a member is a bug in it: it is logged and ends that member only.
class group {
public:
  explicit group(io_executor executor) : executor_(executor), emptied_(executor) {}
  group(const group&) = delete;
  group& operator=(const group&) = delete;

  void start(task<> t);
  std::size_t size() const { return running_; }
  // Returns when no member is left, or when `most` has passed. Answers whether it is empty.
  task<bool> wait(std::chrono::steady_clock::duration max);

private:
  io_executor executor_;
  timer emptied_;
  std::size_t running_ = 0;
};

// Work that is done again and again with a pause between, until stop: the rounds of a sweep, of a report. Used on the
// thread of its executor alone.
class periodic_task {
public:
  // `work` is awaited round after round; what it throws is a bug: logged, and the next round comes all the same. A
  // pause is up to a tenth longer by chance, so that nodes which were started together do not go in step.
  periodic_task(io_executor executor, std::chrono::milliseconds pause, std::function<task<>()> work);

  task<> run();
  void hurry(); // the next round begins at once, or as soon as this one has ended
  void stop();  // the round that runs is finished, and run returns

private:
  timer sleep_;
  const std::chrono::milliseconds pause_;
  const std::function<task<>()> work_;
  bool stopped_ = false, hurried_ = false;
};

// The group of a thread for work that outlives whoever began it, such as aborting a multipart upload whose client has
// gone. Each member has an end of its own; the loop does not end before them. Gone with the io_context.
group& afterwork(const io_executor& executor);

// A budget of bytes for transfer buffers, shared by all threads. take() waits, first come first served, until that much
// is free, and no longer than `most`: then it is errc::unavailable. A request larger than the whole budget is given
// when all of it is free. 0 bytes in all: no limit.
class byte_budget {
public:
  explicit byte_budget(std::uint64_t all) : all_(all) {}
  byte_budget(const byte_budget&) = delete;
  byte_budget& operator=(const byte_budget&) = delete;

  // A share of the budget; given back when it is destroyed, on any thread.
  class ticket {
  public:
    ticket() = default;
    ticket(byte_budget& from, std::uint64_t bytes) : from_(&from), bytes_(bytes) {}
    ticket(ticket&& other) noexcept : from_(std::exchange(other.from_, nullptr)), bytes_(other.bytes_) {}
    ticket& operator=(ticket&& other) noexcept {
      std::swap(from_, other.from_), std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~ticket() {
      if (from_) from_->give_back(bytes_);
    }

  private:
    byte_budget* from_ = nullptr;
    std::uint64_t bytes_ = 0;
  };

  task<result<ticket>> take(std::uint64_t bytes, std::chrono::milliseconds max);
  std::uint64_t taken() const;
  // Would less than a quarter be in use with so much more?
  bool is_roomy(std::uint64_t bytes) const;

private:
  struct waiter {
    std::uint64_t bytes;
    std::function<void(bool)> go; // with true: it is yours
    const void* who;
  };
  void give_back(std::uint64_t bytes);
  void give_up(const void* who);
  std::deque<waiter> those_that_fit(); // taken off the front of the queue, their bytes taken
  bool fits(std::uint64_t bytes) const { return all_ == 0 || taken_ == 0 || taken_ + bytes <= all_; }

  const std::uint64_t all_;
  mutable std::mutex mutex_;
  std::uint64_t taken_ = 0;
  std::deque<waiter> waiting_;
};

} // namespace postern
