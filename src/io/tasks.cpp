#include <postern/base/log.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
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
  while (!stopped_) {
    hurried_ = false;
    try {
      co_await work_();
    } catch (const std::exception& e) {
      log::error("bug: an exception ended a round", {{"what", e.what()}});
    }
    if (stopped_ || hurried_) continue;
    sleep_.expires_after(pause_ + pause_ * static_cast<int>(chance() % 101) / 1000);
    co_await sleep_.async_wait(asio::redirect_error(use_task, ec));
  }
}

void periodic_task::hurry() {
  hurried_ = true;
  sleep_.cancel();
}

void periodic_task::stop() {
  stopped_ = true;
  sleep_.cancel();
}

namespace {

class afterwork_service final : public asio::execution_context::service {
public:
  using key_type = afterwork_service;
  static asio::execution_context::id id;
  explicit afterwork_service(asio::execution_context& on)
      : service(on), members(static_cast<asio::io_context&>(on).get_executor()) {}
  group members;

private:
  void shutdown() override {}
};

asio::execution_context::id afterwork_service::id;

} // namespace

group& afterwork(const io_executor& executor) {
  return asio::use_service<afterwork_service>(executor.context()).members;
}

task<result<byte_budget::ticket>> byte_budget::take(std::uint64_t bytes, std::chrono::milliseconds max) {
  {
    std::lock_guard lock(mutex_);
    // Who came later must not overtake, else a large request might wait for ever.
    if (waiting_.empty() && fits(bytes)) {
      taken_ += bytes;
      co_return ticket(*this, bytes);
    }
  }
  timer limit(co_await asio::this_coro::executor, max);
  limit.async_wait([this, who = &limit](const boost::system::error_code& ec) {
    if (!ec) give_up(who);
  });
  const auto queue_up = [this, bytes, who = &limit](auto go) {
    std::unique_lock lock(mutex_);
    waiting_.push_back({bytes, std::move(go), who});
    auto next = those_that_fit(); // it may have become free in between
    lock.unlock();
    for (auto& w : next) w.go(true);
  };
  const bool given = co_await reply_from<bool>(queue_up);
  limit.cancel();
  if (!given) co_return failure{errc::unavailable, "too many uploads are being received"};
  co_return ticket(*this, bytes);
}

std::deque<byte_budget::waiter> byte_budget::those_that_fit() {
  std::deque<waiter> out;
  while (!waiting_.empty() && fits(waiting_.front().bytes)) {
    taken_ += waiting_.front().bytes;
    out.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return out;
}

void byte_budget::give_back(std::uint64_t bytes) {
  std::unique_lock lock(mutex_);
  taken_ -= bytes;
  auto next = those_that_fit();
  lock.unlock();
  for (auto& w : next) w.go(true);
}

void byte_budget::give_up(const void* who) {
  std::unique_lock lock(mutex_);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [who](const waiter& w) { return w.who == who; });
  if (found == waiting_.end()) return; // it was given at the last moment
  const auto go = std::move(found->go);
  waiting_.erase(found);
  auto next = those_that_fit(); // those behind it may want less
  lock.unlock();
  go(false);
  for (auto& w : next) w.go(true);
}

bool byte_budget::is_roomy(std::uint64_t bytes) const {
  std::lock_guard lock(mutex_);
  return all_ == 0 || (waiting_.empty() && taken_ + bytes <= all_ / 4);
}

std::uint64_t byte_budget::taken() const {
  std::lock_guard lock(mutex_);
  return taken_;
}

} // namespace postern
