// Enforces the deadlines of connections every 5 ms, for tests whose loop runs step by step.
#pragma once

#include <postern/io/net/wire.hpp>

#include <boost/asio/redirect_error.hpp>

#include <chrono>

namespace postern::test {

// Ends soon after `is_done` has become true. Both arguments must outlive the task.
inline task<> enforce_deadlines(connections& of, const bool& is_done) {
  timer pause(co_await asio::this_coro::executor);
  boost::system::error_code ec;
  while (!is_done) {
    pause.expires_after(std::chrono::milliseconds(5));
    co_await pause.async_wait(asio::redirect_error(use_task, ec));
    of.expire_overdue();
  }
}

} // namespace postern::test
