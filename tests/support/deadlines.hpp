// Enforces the deadlines of connections every 5 ms, for tests whose loop runs step by step. A test whose deadline is
// not enforced fails: all connections are cut after 20 s.
#pragma once

#include <postern/io/net/wire.hpp>

#include <boost/asio/redirect_error.hpp>

#include <chrono>
#include <functional>

namespace postern::test {

// Cuts all connections after 20 s, unless `is_done` has become true. Calls `every_5_ms` until then. What it is given by
// reference must outlive the task.
inline task<> cut_after_20_s(
    connections& of, const bool& is_done, std::function<void()> every_5_ms = [] {}) {
  timer pause(co_await asio::this_coro::executor);
  boost::system::error_code ec;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!is_done && std::chrono::steady_clock::now() < end) {
    pause.expires_after(std::chrono::milliseconds(5));
    co_await pause.async_wait(asio::redirect_error(use_task, ec));
    every_5_ms();
  }
  if (!is_done) of.cut_all();
}

// Ends soon after `is_done` has become true. Both arguments must outlive the task.
inline task<> enforce_deadlines(connections& of, const bool& is_done) {
  return cut_after_20_s(of, is_done, [&of] { of.expire_overdue(); });
}

} // namespace postern::test
