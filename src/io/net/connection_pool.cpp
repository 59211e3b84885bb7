#include "connection_pool.hpp"

#include <boost/asio/redirect_error.hpp>

namespace postern {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::size_t max_idle = 64; // for each key and thread
constexpr auto max_idle_time = 15s;  // S3 closes after some 20 s

} // namespace

asio::execution_context::id connection_pool::id;

connection_pool::connection_pool(asio::execution_context& on)
    : service(on), executor_(static_cast<asio::io_context&>(on).get_executor()), all_(executor_), watching_(executor_) {
}

void connection_pool::stop() {
  is_stopped_ = true;
  idle_.clear();
  all_.cut_all();
}

void connection_pool::begin_use() {
  ++in_use_;
  if (watching_.size() == 0) watching_.start(watch());
}

std::unique_ptr<connection> connection_pool::take(const key& of) {
  auto& idle = idle_[of];
  while (!idle.empty()) {
    auto last = std::move(idle.back());
    idle.pop_back();
    if (steady_clock::now() - last.since < max_idle_time && last.c->is_quiet()) return std::move(last.c);
  }
  return nullptr;
}

void connection_pool::keep(const key& of, std::unique_ptr<connection> c) {
  auto& idle = idle_[of];
  std::erase_if(idle, [](const auto& i) { return steady_clock::now() - i.since >= max_idle_time; });
  if (idle.size() >= max_idle) return;
  c->ends_at(clock_point::max());
  c->expires_after(0ms);
  idle.push_back({std::move(c), steady_clock::now()});
}

// Runs only while a connection is in use, so that a loop with nothing else to do can end.
task<> connection_pool::watch() {
  timer wakes(executor_);
  boost::system::error_code ec;
  while (in_use_ > 0) {
    wakes.expires_after(100ms);
    co_await wakes.async_wait(asio::redirect_error(use_task, ec));
    all_.expire_overdue();
  }
}

} // namespace postern
