#include <postern/base/metrics.hpp>
#include <postern/flow/upload_feed.hpp>

#include <boost/asio/redirect_error.hpp>

#include <atomic>
#include <utility>

namespace postern {
namespace {

metrics::gauge streams("postern_event_streams", "Event streams that wait for changes of an upload", "");

} // namespace

struct upload_feed::subscriber {
  subscriber(std::string upload_id, io_executor executor) : id(std::move(upload_id)), home(executor), wake(executor) {}

  const std::string id;
  const io_executor home;
  timer wake;                           // of the home thread
  std::shared_ptr<const upload> unread; // guarded by the feed's mutex
  std::atomic<bool> is_waking{false};   // a wake-up has been posted: one at a time, however many changes there are
};

// --- a subscription, on its own thread ------------------------------------------------------------

upload_feed::subscription::~subscription() {
  if (me_) feed_->unsubscribe(me_);
}

std::optional<upload> upload_feed::subscription::take_unread() {
  std::lock_guard lock(feed_->mutex_);
  const auto row = std::exchange(me_->unread, nullptr);
  return row ? std::optional(*row) : std::nullopt;
}

task<std::optional<upload>> upload_feed::subscription::next(std::chrono::milliseconds max) {
  auto changed = take_unread();
  if (!changed) {
    boost::system::error_code ec;
    me_->wake.expires_after(max);
    co_await me_->wake.async_wait(asio::redirect_error(use_task, ec));
    changed = take_unread();
  }
  co_return changed;
}

// --- the feed, on any thread ----------------------------------------------------------------------

result<upload_feed::subscription> upload_feed::subscribe(std::string id, io_executor home) {
  auto s = std::make_shared<subscriber>(std::move(id), home);
  {
    std::lock_guard lock(mutex_);
    if (subscriptions_ >= max_subscriptions_)
      return failure{errc::unavailable, "too many event streams: " + std::to_string(subscriptions_)};
    ++subscriptions_;
    watched_[s->id].subscribers.push_back(s);
  }
  streams.add(1);
  return subscription(*this, std::move(s));
}

void upload_feed::unsubscribe(const std::shared_ptr<subscriber>& s) {
  {
    std::lock_guard lock(mutex_);
    const auto of = watched_.find(s->id);
    std::erase(of->second.subscribers, s);
    if (of->second.subscribers.empty()) watched_.erase(of);
    --subscriptions_;
  }
  streams.add(-1);
}

void upload_feed::publish(const upload& u) {
  std::lock_guard lock(mutex_);
  const auto to = watched_.find(u.id);
  if (to == watched_.end()) return;
  ++to->second.publications;
  deliver(to->second, std::make_shared<const upload>(u));
}

// With the lock held.
void upload_feed::deliver(watched& to, std::shared_ptr<const upload> row) {
  to.row = std::move(row);
  for (const auto& s : to.subscribers) {
    s->unread = to.row;
    if (s->is_waking.exchange(true)) continue;
    asio::post(s->home, [s] {
      s->is_waking = false;
      s->wake.cancel();
    });
  }
}

// A row that was read before this process published a newer one is out of date.
task<> upload_feed::poll(ledger& records) {
  std::vector<std::string> ids;
  std::unordered_map<std::string, std::uint64_t> publications;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, w] : watched_) {
      ids.push_back(id);
      publications.emplace(id, w.publications);
    }
  }
  if (ids.empty()) co_return;
  auto rows = co_await records.find_all(std::move(ids));
  if (!rows) co_return;
  std::lock_guard lock(mutex_);
  for (auto& u : *rows) {
    const auto to = watched_.find(u.id);
    const auto before = publications.find(u.id);
    if (to == watched_.end() || before == publications.end()) continue;
    auto& w = to->second;
    if (w.publications != before->second || (w.row && *w.row == u)) continue;
    deliver(w, std::make_shared<const upload>(std::move(u)));
  }
}

} // namespace postern
