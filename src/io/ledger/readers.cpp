#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/io/ledger/readers.hpp>

#include <algorithm>
#include <string>

namespace postern {

using namespace std::chrono_literals;

namespace {

metrics::gauge queued("postern_ledger_read_queue", "Reads that wait for a connection to the ledger", "");

// Whether the database, not the query, is why the query failed.
bool is_away(const failure& f) { return f.code == errc::unavailable; }

} // namespace

readers::readers(connect_function connect, readers_options options) : connect_(std::move(connect)), options_(options) {
  for (std::size_t n = 0; n < options_.connections; ++n) threads_.emplace_back([this] { run_thread(); });
}

readers::~readers() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& t : threads_) t.join();
}

std::optional<failure> readers::push(query q) {
  {
    std::lock_guard lock(mutex_);
    if (outage_) return outage_;
    if (queue_.size() >= options_.max_queue)
      return failure{errc::unavailable, "too many reads wait for the ledger: " + std::to_string(queue_.size())};
    queue_.push_back(std::move(q));
  }
  queued.add(1);
  wake_.notify_one();
  return std::nullopt;
}

// --- the readers' threads -------------------------------------------------------------------------

void readers::run_thread() {
  std::unique_ptr<sql::database> db;
  query q;
  while (take(q)) {
    const auto failed = run(q, db);
    const bool found_away = failed && is_away(*failed) && refuse_queue(*failed);
    q.answer(failed ? &*failed : nullptr);
    q = {};
    if (found_away) wait_until_available(db);
  }
}

// Waits for a query. False at the end of the program, when the queue is empty.
bool readers::take(query& q) {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
  if (queue_.empty()) return false;
  q = std::move(queue_.front());
  queue_.pop_front();
  lock.unlock();
  queued.add(-1);
  return true;
}

// A connection that broke while it was idle is no reason to fail: the query runs again on a new one, unless the first
// attempt took long.
std::optional<failure> readers::run(const query& q, std::unique_ptr<sql::database>& db) {
  const auto since = std::chrono::steady_clock::now();
  for (bool is_last = false;; is_last = true) {
    try {
      attempt(q, db);
      return std::nullopt;
    } catch (const transaction_error& e) {
      using enum transaction_failure;
      if (e.kind == rejected || e.kind == broken) return failure{errc::ledger_failed, e.what()};
      if (is_last || std::chrono::steady_clock::now() - since > 1s) return failure{errc::unavailable, e.what()};
    } catch (const std::exception& e) {
      return failure{errc::ledger_failed, e.what()};
    }
  }
}

void readers::attempt(const query& q, std::unique_ptr<sql::database>& db) {
  if (!db) db = connect_();
  db->begin(false);
  try {
    q.work(*db);
    db->commit();
  } catch (...) {
    db->roll_back();
    throw;
  }
}

// Until the database is available again, push() refuses reads at once. False: another thread has done so already.
bool readers::refuse_queue(const failure& why) {
  std::deque<query> refused;
  {
    std::lock_guard lock(mutex_);
    if (outage_) return false;
    outage_ = why;
    refused.swap(queue_);
  }
  log::error("ledger cannot be read", {{"why", why.on}});
  queued.add(-static_cast<std::int64_t>(refused.size()));
  for (auto& q : refused) q.answer(&why);
  return true;
}

// Tries at once, then with growing pauses, until the database is available or the program ends.
void readers::wait_until_available(std::unique_ptr<sql::database>& db) {
  const auto since = std::chrono::steady_clock::now();
  const query nothing{[](sql::database&) {}, {}};
  for (auto pause = options_.first_pause; run(nothing, db); pause = std::min(2 * pause, options_.max_pause)) {
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, pause, [&] { return stopping_; })) return;
  }
  {
    std::lock_guard lock(mutex_);
    outage_.reset();
  }
  const std::chrono::duration<double> gap = std::chrono::steady_clock::now() - since;
  log::info("ledger can be read again", {{"after_seconds", gap.count()}});
}

} // namespace postern
