#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/random.hpp>
#include <postern/io/ledger/group_commit.hpp>

#include <algorithm>
#include <array>
#include <iterator>

namespace postern {
namespace {

metrics::gauge queued("postern_ledger_queue", "Calls waiting for the ledger's writer", "");
metrics::histogram commit_seconds("postern_ledger_commit_seconds", "Time of one transaction", "");
metrics::counter dropped("postern_ledger_dropped_total", "Facts written behind that could not be written", "");
metrics::counter repeated("postern_ledger_repeated_total", "Transactions tried again for another writer's sake", "");
metrics::gauge reachable("postern_ledger_up", "1 while the ledger can be written", "");

constexpr int max_conflicts = 5; // of one transaction in a row, before it is cut in two; each half has half of that

// Writers that were in each other's way should not come back together. At most 10 ms the first time, 160 the last.
void pause_by_chance(int tries) {
  std::array<unsigned char, 1> chance;
  random_bytes(chance);
  std::this_thread::sleep_for(std::chrono::microseconds((std::int64_t{chance[0]} << tries) * 20));
}

} // namespace

group_commit::group_commit(transactions& to, group_commit_options options)
    : to_(to), options_(options), writer_([this] { write(); }) {
  reachable.set(1);
}

group_commit::~group_commit() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

// --- the callers' side --------------------------------------------------------------------------

// Wakes the writer only for what changes its mind: the first call, one that is waited for, a batch that is full.
std::optional<failure> group_commit::push(call c) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (away_ && c.answer) return away_;
    if (queue_.size() >= options_.queue) return failure{errc::unavailable, "the ledger has too much to do"};
    const bool first_awaited = c.answer && !std::exchange(awaited_, true);
    queue_.push_back(std::move(c));
    wake = !away_ && (first_awaited || queue_.size() == 1 || queue_.size() == options_.batch);
  }
  queued.add(1);
  if (wake) wake_.notify_one();
  return std::nullopt;
}

bool group_commit::behind(std::string key, std::function<void()> work) {
  call c;
  c.key = std::move(key);
  c.work = std::move(work);
  const bool taken = !push(std::move(c));
  const bool dropping = dropping_.exchange(!taken, std::memory_order_relaxed);
  if (taken) return true;
  dropped.add();
  if (!dropping) log::warning("ledger queue full, facts are dropped"); // once for all that are lost in a row
  return false;
}

// --- the writer thread ----------------------------------------------------------------------------

// What has queued up while one transaction ran is the next one.
void group_commit::write() {
  std::vector<call> batch;
  std::vector<call*> order, kept;
  while (take(batch)) {
    order.clear();
    for (auto& c : batch) order.push_back(&c);
    const auto keyless = [](const call* c) { return c->key.empty(); };
    for (auto from = order.begin(); from != order.end();) {
      const auto to = std::find_if(from, order.end(), keyless);
      std::stable_sort(from, to, [](const call* a, const call* b) { return a->key < b->key; });
      from = std::find_if_not(to, order.end(), keyless);
    }
    kept.clear();
    settle(order, kept, max_conflicts);
    put_back(kept);
    batch.clear();
    wait_until_back();
  }
}

// Waits for work. False when there will be none.
bool group_commit::take(std::vector<call>& batch) {
  std::unique_lock lock(mutex_);
  const auto has_work = [&] { return stopping_ || !queue_.empty(); };
  if (parked_.empty())
    wake_.wait(lock, has_work);
  else
    wake_.wait_until(lock, parked_until_, has_work);
  if (stopping_ || std::chrono::steady_clock::now() >= parked_until_) unpark();
  if (queue_.empty()) return false;
  wake_.wait_for(lock, options_.linger, [&] { return stopping_ || awaited_ || queue_.size() >= options_.batch; });
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(queue_.size(), options_.batch));
  batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  awaited_ = awaited_ && !queue_.empty();
  lock.unlock();
  queued.add(-static_cast<std::int64_t>(batch.size()));
  return true;
}

// Writes them in as few transactions as can be, and answers each. Those that nobody waits for and that cannot be
// written now are kept, or parked when only another writer stands in their way: one row that somebody holds for long
// must not hold up all others.
void group_commit::settle(calls some, std::vector<call*>& kept, int tries) {
  for (int conflicts = 0; !away_;) {
    trouble kind = trouble::own;
    std::string why;
    try {
      attempt(some);
      for (auto* c : some)
        if (c->answer) c->answer(nullptr);
      return;
    } catch (const transaction_error& e) {
      if (e.kind == trouble::away || e.kind == trouble::broken) {
        gone(e);
        break;
      }
      kind = e.kind;
      why = e.what();
    } catch (const std::exception& e) {
      why = e.what();
    }
    if (kind == trouble::conflict && ++conflicts <= tries) {
      repeated.add();
      pause_by_chance(conflicts);
      continue;
    }
    if (some.size() == 1) {
      if (kind == trouble::conflict && !some[0]->answer && !is_stopping()) return park(std::move(*some[0]));
      return refuse(*some[0], {kind == trouble::own ? errc::ledger_failed : errc::unavailable, std::move(why)});
    }
    const auto half = some.size() / 2;
    settle(some.first(half), kept, tries / 2);
    return settle(some.subspan(half), kept, tries / 2);
  }
  for (auto* c : some) {
    if (c->answer)
      c->answer(&*away_);
    else
      kept.push_back(c);
  }
}

bool group_commit::is_stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
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
    throw; // the cause, not what undoing it may say
  }
  if (writes) commit_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count());
}

void group_commit::refuse(call& c, const failure& why) {
  if (c.answer) return c.answer(&why);
  dropped.add();
  log::error("ledger: a fact written behind is refused", {{"of", quote(c.key)}, {"why", why.on}});
}

// From here on nobody needs to wait to be told that nothing can be written.
void group_commit::gone(const transaction_error& why) {
  reachable.set(0);
  log::error("ledger cannot be written", {{"why", why.what()}});
  std::vector<call> told;
  {
    std::lock_guard lock(mutex_);
    away_.emplace(why.kind == trouble::away ? errc::unavailable : errc::ledger_failed, why.what());
    const auto awaited = std::stable_partition(queue_.begin(), queue_.end(), [](const call& c) { return !c.answer; });
    told.assign(std::make_move_iterator(awaited), std::make_move_iterator(queue_.end()));
    queue_.erase(awaited, queue_.end());
    awaited_ = false;
  }
  queued.add(-static_cast<std::int64_t>(told.size()));
  for (auto& c : told) c.answer(&*away_);
}

void group_commit::put_back(std::span<call*> kept) {
  if (kept.empty()) return;
  std::lock_guard lock(mutex_);
  std::for_each(kept.rbegin(), kept.rend(), [&](call* c) { queue_.push_front(std::move(*c)); });
  queued.add(static_cast<std::int64_t>(kept.size()));
}

// Those that come later go with the first: were its time moved on, it might never come.
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

// Tries with growing pauses; at the end of the program once more.
void group_commit::wait_until_back() {
  if (!away_) return;
  const auto since = std::chrono::steady_clock::now();
  for (auto pause = options_.first_pause;; pause = std::min(2 * pause, options_.longest_pause)) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, pause, [&] { return stopping_; });
    const bool last = stopping_;
    lock.unlock();
    try {
      to_.begin(true);
      to_.commit();
      lock.lock();
      away_.reset();
      break;
    } catch (const std::exception& e) {
      to_.roll_back();
      if (!last) continue;
      return lose_all(e.what());
    }
  }
  reachable.set(1);
  const std::chrono::duration<double> gap = std::chrono::steady_clock::now() - since;
  log::info("ledger can be written again", {{"after_seconds", gap.count()}});
}

void group_commit::lose_all(std::string_view why) {
  std::lock_guard lock(mutex_);
  if (queue_.empty()) return;
  dropped.add(queue_.size());
  queued.add(-static_cast<std::int64_t>(queue_.size()));
  log::error("ledger: facts written behind are lost", {{"facts", queue_.size()}, {"why", why}});
  queue_.clear();
}

} // namespace postern
