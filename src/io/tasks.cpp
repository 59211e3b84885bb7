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

task<result<byte_budget::ticket>> byte_budget::take(std::uint64_t bytes, std::chrono::milliseconds max) {
  {
    std::lock_guard lock(mutex_);
    // A later request must not overtake a waiting one, else a large request could starve.
    if (waiting_.empty() && fits(bytes)) {
      taken_ += bytes;
      co_return ticket(*this, bytes);
    }
  }
  timer limit(co_await asio::this_coro::executor, max);
  limit.async_wait([this, id = &limit](const boost::system::error_code& ec) {
    if (!ec) time_out(id);
  });
  const auto queue_up = [this, bytes, id = &limit](auto resume) {
    std::unique_lock lock(mutex_);
    waiting_.push_back({bytes, std::move(resume), id});
    auto granted = grant_waiting(); // bytes may have become free since the check above
    lock.unlock();
    for (auto& w : granted) w.resume(true);
  };
  const bool is_granted = co_await reply_from<bool>(queue_up);
  limit.cancel();
  if (!is_granted) co_return failure{errc::unavailable, "too many uploads are being received"};
  co_return ticket(*this, bytes);
}

std::deque<byte_budget::waiter> byte_budget::grant_waiting() {
  std::deque<waiter> out;
  while (!waiting_.empty() && fits(waiting_.front().bytes)) {
    taken_ += waiting_.front().bytes;
    out.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return out;
}

void byte_budget::release(std::uint64_t bytes) {
  std::unique_lock lock(mutex_);
  taken_ -= bytes;
  auto granted = grant_waiting();
  lock.unlock();
  for (auto& w : granted) w.resume(true);
}

void byte_budget::time_out(const void* id) {
  std::unique_lock lock(mutex_);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [id](const waiter& w) { return w.id == id; });
  if (found == waiting_.end()) return; // granted just before the timeout
  const auto resume = std::move(found->resume);
  waiting_.erase(found);
  auto granted = grant_waiting(); // the next waiters may need less
  lock.unlock();
  resume(false);
  for (auto& w : granted) w.resume(true);
}

bool byte_budget::has_ample_room(std::uint64_t bytes) const {
  std::lock_guard lock(mutex_);
  return capacity_ == 0 || (waiting_.empty() && taken_ + bytes <= capacity_ / 4);
}

std::uint64_t byte_budget::taken() const {
  std::lock_guard lock(mutex_);
  return taken_;
}

} // namespace postern
