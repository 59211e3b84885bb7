#include <postern/base/log.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/redirect_error.hpp>

#include <random>

namespace postern {

void group::start(task<> t) {
  ++running_;
  asio::co_spawn(executor_, std::move(t), [this](std::exception_ptr bug) {
    --running_;
    if (running_ == 0) emptied_.cancel();
    if (!bug) return;
    try {
      std::rethrow_exception(bug);
    } catch (const std::exception& e) {
      log::error("bug: an exception ended a task", {{"what", e.what()}});
    } catch (...) {
      log::error("bug: an exception ended a task");
    }
  });
}

task<bool> group::wait(std::chrono::steady_clock::duration max) {
  boost::system::error_code ec;
  const auto end = std::chrono::steady_clock::now() + max;
  while (running_ > 0 && std::chrono::steady_clock::now() < end) {
    emptied_.expires_at(end);
    co_await emptied_.async_wait(asio::redirect_error(use_task, ec));
  }
  co_return running_ == 0;
}

periodic_task::periodic_task(io_executor executor, std::chrono::milliseconds pause, std::function<task<>()> work)
    : sleep_(executor), pause_(pause), work_(std::move(work)) {}

task<> periodic_task::run() {
  thread_local std::minstd_rand chance{std::random_device{}()};
  boost::system::error_code ec;
  while (!is_stopped_) {
    is_woken_ = false;
    try {
      co_await work_();
    } catch (const std::exception& e) {
      log::error("bug: an exception ended a round", {{"what", e.what()}});
    }
    if (is_stopped_ || is_woken_) continue;
    sleep_.expires_after(pause_ + pause_ * static_cast<int>(chance() % 101) / 1000);
    co_await sleep_.async_wait(asio::redirect_error(use_task, ec));
  }
}

void periodic_task::wake() {
  is_woken_ = true;
  sleep_.cancel();
}

void periodic_task::stop() {
  is_stopped_ = true;
  sleep_.cancel();
}

namespace {

class cleanup_service final : public asio::execution_context::service {
public:
  using key_type = cleanup_service;
  static asio::execution_context::id id;
  explicit cleanup_service(asio::execution_context& on)
      : service(on), members(static_cast<asio::io_context&>(on).get_executor()) {}
  group members;

private:
  void shutdown() override {}
};

asio::execution_context::id cleanup_service::id;

} // namespace

group& cleanup_group(const io_executor& executor) {
  return asio::use_service<cleanup_service>(executor.context()).members;
}

} // namespace postern
