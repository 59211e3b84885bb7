#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/random.hpp>
#include <postern/io/ledger/group_commit.hpp>

#include <algorithm>
#include <array>
#include <iterator>

namespace postern {
namespace {

metrics::gauge queued("postern_ledger_queue", "Calls that wait for the ledger's writer thread", "");
metrics::histogram commit_seconds("postern_ledger_commit_seconds", "Duration of one ledger transaction", "");
metrics::counter dropped("postern_ledger_dropped_total", "Write-behind calls that the ledger lost", "");
metrics::counter repeated("postern_ledger_repeated_total", "Transactions retried after a conflict with another writer",
                          "");
metrics::gauge reachable("postern_ledger_up", "1 while the ledger can be written", "");

// Conflicts of one transaction in a row before it is split in two. Each half may have half as many.
constexpr int conflicts_before_split = 5;

constexpr std::chrono::seconds log_interval{10}; // between two lines about the same outage

// The pause after a conflict. Random, so that the same two writers do not collide again: at most 10 ms after the first
// conflict, 160 ms after the last.
void pause_at_random(int conflicts) {
  std::array<unsigned char, 1> chance;
  random_bytes(chance);
  std::this_thread::sleep_for(std::chrono::microseconds((std::int64_t{chance[0]} << conflicts) * 20));
}

} // namespace

group_commit::group_commit(transactions& to, group_commit_options options, std::optional<failure> outage)
    : to_(to), options_(options), outage_(std::move(outage)), pause_(options.first_pause) {
  reachable.set(outage_ ? 0 : 1);
  writer_ = std::thread([this] { run_writer(); });
}

group_commit::~group_commit() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

// --- the callers' threads -------------------------------------------------------------------------

// Wakes the writer only when the writer must act: for the first call, for the first awaited call, and for a full batch.
std::optional<failure> group_commit::push(call c) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (outage_ && c.is_awaited()) return outage_;
    if (queue_.size() >= options_.max_queue)
      return failure{errc::unavailable, "the ledger's queue is full: " + std::to_string(queue_.size()) + " calls wait"};
    if (c.writes && !c.key.empty()) ++pending_[c.key];
    const bool first_awaited = c.is_awaited() && !std::exchange(has_awaited_call_, true);
    queue_.push_back(std::move(c));
    wake = !outage_ && (first_awaited || queue_.size() == 1 || queue_.size() == options_.max_batch);
  }
  queued.add(1);
  if (wake) wake_.notify_one();
  return std::nullopt;
}

bool group_commit::write_behind(std::string key, std::function<void()> work) {
  call c;
  c.key = std::move(key);
  c.work = std::move(work);
  const bool taken = !push(std::move(c));
  const bool was_dropping = dropping_.exchange(!taken, std::memory_order_relaxed);
  if (taken) return true;
  dropped.add();
  if (!was_dropping) // one line for all calls that are lost in a row
    log::warning("ledger: the queue is full; new rows are lost", {{"queue", options_.max_queue}});
  return false;
}

bool group_commit::has_pending(const std::string& key) const {
  std::lock_guard lock(mutex_);
  return pending_.contains(key);
}

// With the lock held.
void group_commit::end_pending(const call& c) {
  if (!c.writes || c.key.empty()) return;
  const auto found = pending_.find(c.key);
  if (--found->second == 0) pending_.erase(found);
}

// --- the writer thread ----------------------------------------------------------------------------

// Calls that are queued while one transaction runs form the next transaction.
void group_commit::run_writer() {
  std::vector<call> batch;
  std::vector<call*> order, postponed;
  if (outage_) log_outage(outage_->on);
  wait_until_available();
  while (take(batch)) {
    order.clear();
    for (auto& c : batch) order.push_back(&c);
    const auto keyless = [](const call* c) { return c->key.empty(); };
    for (auto from = order.begin(); from != order.end();) {
      const auto to = std::find_if(from, order.end(), keyless);
      std::stable_sort(from, to, [](const call* a, const call* b) { return a->key < b->key; });
      from = std::find_if_not(to, order.end(), keyless);
    }
    postponed.clear();
    conflicts_until_ = std::chrono::steady_clock::now() + options_.max_conflict_time;
    commit(order, postponed, conflicts_before_split);
    put_back(postponed);
    batch.clear();
    wait_until_available();
  }
}

// Waits for calls. False at the end of the program, when the queue is empty.
bool group_commit::take(std::vector<call>& batch) {
  std::unique_lock lock(mutex_);
  const auto has_work = [&] { return is_stopping_ || !queue_.empty(); };
  if (parked_.empty())
    wake_.wait(lock, has_work);
  else
    wake_.wait_until(lock, parked_until_, has_work);
  if (is_stopping_ || std::chrono::steady_clock::now() >= parked_until_) unpark();
  if (queue_.empty()) return false;
  wake_.wait_for(lock, options_.linger,
                 [&] { return is_stopping_ || has_awaited_call_ || queue_.size() >= options_.max_batch; });
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(queue_.size(), options_.max_batch));
  batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  has_awaited_call_ = has_awaited_call_ && !queue_.empty();
  lock.unlock();
  queued.add(-static_cast<std::int64_t>(batch.size()));
  return true;
}

// Commits the calls in as few transactions as possible, and answers each. When the database is unavailable,
// write-behind calls are postponed. When only another writer's lock is in the way, a write-behind call is parked: one
// row that is locked for long must not delay all others. When so many are locked that the search takes too long, the
// database is unavailable.
void group_commit::commit(calls some, std::vector<call*>& postponed, int max_conflicts) {
  for (int conflicts = 0; !outage_;) {
    auto kind = transaction_failure::rejected;
    std::string why;
    try {
      attempt(some);
      return answer(some);
    } catch (const transaction_error& e) {
      if (e.kind == transaction_failure::unavailable || e.kind == transaction_failure::broken) {
        refuse_awaited(e);
        break;
      }
      kind = e.kind;
      why = e.what();
    } catch (const std::exception& e) {
      why = e.what();
    }
    const bool in_conflict = kind == transaction_failure::conflict;
    if (in_conflict && is_conflict_too_long()) {
      refuse_awaited({transaction_failure::unavailable, why});
      break;
    }
    if (in_conflict && ++conflicts <= max_conflicts) {
      repeated.add();
      pause_at_random(conflicts);
      continue;
    }
    if (some.size() == 1) {
      if (in_conflict && !some[0]->is_awaited() && !is_stopping()) return park(std::move(*some[0]));
      return refuse(*some[0], {in_conflict ? errc::unavailable : errc::ledger_failed, std::move(why)});
    }
    const auto half = some.size() / 2;
    commit(some.first(half), postponed, max_conflicts / 2);
    return commit(some.subspan(half), postponed, max_conflicts / 2);
  }
  for (auto* c : some) {
    if (c->is_awaited())
      refuse(*c, *outage_);
    else
      postponed.push_back(c);
  }
}

bool group_commit::is_conflict_too_long() const { return std::chrono::steady_clock::now() >= conflicts_until_; }

bool group_commit::is_stopping() {
  std::lock_guard lock(mutex_);
  return is_stopping_;
}

void group_commit::attempt(calls some) {
  const auto since = std::chrono::steady_clock::now();
  const bool writes = std::any_of(some.begin(), some.end(), [](const call* c) { return c->writes; });
  to_.begin(writes);
  try {
    for (auto* c : some) c->work();
    to_.commit();
  } catch (...) {
    to_.roll_back();
    throw; // the cause, not an error of the rollback
  }
  if (!writes) return;
  commit_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count());
  note_recovery();
}

// End the keys' pending state before the callers get their replies, so that their next reads can use a reader.
void group_commit::answer(calls some) {
  {
    std::lock_guard lock(mutex_);
    for (const auto* c : some) end_pending(*c);
  }
  for (auto* c : some)
    if (c->is_awaited()) c->answer(nullptr);
}

void group_commit::refuse(call& c, const failure& why) {
  {
    std::lock_guard lock(mutex_);
    end_pending(c);
  }
  if (c.is_awaited()) return c.answer(&why);
  dropped.add();
  log::error("ledger: the database rejected a row; the row is lost", {{"upload", quote(c.key)}, {"why", why.on}});
}

// Until the database is available again, push() refuses awaited calls at once.
void group_commit::refuse_awaited(const transaction_error& why) {
  reachable.set(0);
  log_outage(why.what());
  std::vector<call> refused;
  {
    std::lock_guard lock(mutex_);
    outage_.emplace(why.kind == transaction_failure::unavailable ? errc::unavailable : errc::ledger_failed, why.what());
    const auto awaited =
        std::stable_partition(queue_.begin(), queue_.end(), [](const call& c) { return !c.is_awaited(); });
    refused.assign(std::make_move_iterator(awaited), std::make_move_iterator(queue_.end()));
    queue_.erase(awaited, queue_.end());
    has_awaited_call_ = false;
  }
  queued.add(-static_cast<std::int64_t>(refused.size()));
  for (auto& c : refused) refuse(c, *outage_);
}

// One line when an outage begins, one when its reason changes, and one every ten seconds.
void group_commit::log_outage(const std::string& why) {
  const auto now = std::chrono::steady_clock::now();
  if (why == logged_why_ && now - logged_at_ < log_interval) return;
  log::error("ledger cannot be written", {{"why", why}});
  logged_why_ = why;
  logged_at_ = now;
}

void group_commit::put_back(std::span<call*> postponed) {
  if (postponed.empty()) return;
  std::lock_guard lock(mutex_);
  std::for_each(postponed.rbegin(), postponed.rend(), [&](call* c) { queue_.push_front(std::move(*c)); });
  queued.add(static_cast<std::int64_t>(postponed.size()));
}

// All parked calls share the first one's deadline. If later calls extended it, they would starve the first.
void group_commit::park(call c) {
  if (parked_.empty()) parked_until_ = std::chrono::steady_clock::now() + options_.parked;
  parked_.push_back(std::move(c));
}

// With the lock held.
void group_commit::unpark() {
  queued.add(static_cast<std::int64_t>(parked_.size()));
  queue_.insert(queue_.begin(), std::make_move_iterator(parked_.begin()), std::make_move_iterator(parked_.end()));
  parked_.clear();
}

// Tries with growing pauses. At the end of the program, tries once more and then gives up.
void group_commit::wait_until_available() {
  if (!outage_) return;
  if (!unwritable_since_) unwritable_since_ = std::chrono::steady_clock::now();
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, pause_, [&] { return is_stopping_; });
    pause_ = std::min(2 * pause_, options_.max_pause);
    const bool last = is_stopping_;
    lock.unlock();
    if (last && std::exchange(has_tried_last_, true)) return lose_queue(outage_->on);
    try {
      to_.begin(true);
      to_.commit();
      lock.lock();
      outage_.reset();
      break;
    } catch (const std::exception& e) {
      to_.roll_back();
      if (last) return lose_queue(e.what());
      log_outage(e.what());
    }
  }
  // An empty transaction succeeds even on a full disk. If writes wait, only their commit proves the recovery.
  if (!has_waiting_writes()) note_recovery();
}

bool group_commit::has_waiting_writes() const {
  std::lock_guard lock(mutex_);
  return std::any_of(queue_.begin(), queue_.end(), [](const call& c) { return c.writes; });
}

void group_commit::note_recovery() {
  if (!unwritable_since_) return;
  const std::chrono::duration<double> gap = std::chrono::steady_clock::now() - *unwritable_since_;
  unwritable_since_.reset();
  pause_ = options_.first_pause;
  logged_why_.clear();
  reachable.set(1);
  log::info("ledger can be written again", {{"after_seconds", gap.count()}});
}

void group_commit::lose_queue(std::string_view why) {
  std::lock_guard lock(mutex_);
  if (queue_.empty()) return;
  dropped.add(queue_.size());
  queued.add(-static_cast<std::int64_t>(queue_.size()));
  log::error("ledger: the program ends before it could write its queue; the rows are lost",
             {{"rows", queue_.size()}, {"why", why}});
  queue_.clear();
  pending_.clear();
}

} // namespace postern
