// How coroutines start, wait and end. One io_context runs on one thread, and a connection stays on its thread.
// There are three ways to start work: co_await it, join it with siblings, or give it to a group that someone awaits.
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
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace postern {

namespace asio = boost::asio;

// The concrete executor spares a virtual call and an allocation at each step of each coroutine.
using io_executor = asio::io_context::executor_type;
template <class T = void> using task = asio::awaitable<T, io_executor>;
inline constexpr asio::use_awaitable_t<io_executor> use_task{};
using clock_point = std::chrono::steady_clock::time_point;
using timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, io_executor>;
using tcp_socket = asio::basic_stream_socket<asio::ip::tcp, io_executor>;
using tcp_acceptor = asio::basic_socket_acceptor<asio::ip::tcp, io_executor>;

// Runs f() on a thread of the pool, for calls that block (files), and returns its result on the caller's thread. f must
// not throw expected failures. The caller's frame must own everything that f refers to. Cannot be cancelled.
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

// Waits for one value from another thread. Calls start(reply) at once on the caller's thread. `reply` is a copyable
// function object; call it exactly once, from any thread. The coroutine then resumes on its own thread. io_context::run
// does not return before the reply. The io_context must outlive the replying thread, because Asio still uses it after
// the coroutine has resumed. So join pools and destroy ledgers first. The same holds for on_pool.
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

// The value of `t`, or nothing and the exception that ended it. `thrown` must outlive the call.
template <class T> task<std::optional<T>> keep_exception(task<T> t, std::exception_ptr& thrown) {
  try {
    auto value = co_await std::move(t);
    co_return std::move(value);
  } catch (...) {
    thrown = std::current_exception();
  }
  co_return std::nullopt;
}

// The result of `t`. If `t` takes longer than `max`, it is cancelled, and the result is errc::timed_out with the text
// `what`. `t` has always ended when this returns. An exception that ends `t` is rethrown at once.
template <class T> task<result<T>> within(std::chrono::milliseconds max, task<result<T>> t, std::string what) {
  using namespace asio::experimental::awaitable_operators;
  timer limit(co_await asio::this_coro::executor, max);
  // After an exception on one side, operator|| would wait for the other side: for the whole of `max`.
  std::exception_ptr thrown;
  auto guarded = keep_exception(std::move(t), thrown);
  auto either = std::move(guarded) || limit.async_wait(use_task);
  auto first = co_await std::move(either);
  if (first.index() == 1) co_return failure{errc::timed_out, std::move(what)};
  if (thrown) std::rethrow_exception(thrown);
  co_return std::move(*std::get<0>(first));
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
  // Waits until no member is left, for at most `max`. Returns whether the group is empty.
  task<bool> wait(std::chrono::steady_clock::duration max);

private:
  io_executor executor_;
  timer emptied_;
  std::size_t running_ = 0;
};

// Work that is repeated with a pause between the rounds, until stop. Used on the thread of its executor only.
class periodic_task {
public:
  // An exception from `work` is a bug: it is logged, and the next round runs. A pause is up to a tenth longer at
  // random, so that nodes that were started together spread out.
  periodic_task(io_executor executor, std::chrono::milliseconds pause, std::function<task<>()> work);

  task<> run();
  void wake(); // begins the next round now, or as soon as the running round ends
  void stop(); // run returns after the running round

private:
  timer sleep_;
  const std::chrono::milliseconds pause_;
  const std::function<task<>()> work_;
  bool is_stopped_ = false, is_woken_ = false;
};

// A thread's group for cleanup that outlives the coroutine that began it, such as aborting the multipart upload of a
// client that has disconnected. Each member has its own deadline; the io_context ends after all of them.
group& cleanup_group(const io_executor& executor);

} // namespace postern
