// Group commit: callers queue work, and one writer thread runs all queued work in one transaction and commits once. The
// unit does not know what is written: a call's work is a function that runs between begin() and commit(), on the writer
// thread. One ledger owns it; any thread uses it. The destructor writes what is queued, then ends the writer thread.
//
// A call is awaited or written behind. An awaited call is answered when its transaction has committed or failed. A call
// that is written behind stays in the queue while the database is unavailable. It is lost, counted and logged in three
// cases: the queue is full, the database rejects the call itself, or the program ends while the database is
// unavailable. A work function may run several times; its last run counts. Make it idempotent: a commit can succeed
// although its reply is lost.
//
// Calls with the same key run in order. Within a transaction, calls are sorted by key, so that several writers of one
// database lock its rows in the same order. A call without a key runs after all earlier calls and before all later
// ones.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/sql/transaction.hpp>
#include <postern/io/tasks.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace postern {

struct group_commit_options {
  std::size_t max_queue = 200'000;      // calls that wait
  std::size_t max_batch = 2'000;        // calls in one transaction
  std::chrono::milliseconds linger{20}; // how long the writer collects calls when nobody awaits one
  std::chrono::milliseconds first_pause{100}, max_pause{5'000}; // between attempts to reach the database
  // When another writer holds the row of a write-behind call, the call is retried after this pause.
  std::chrono::milliseconds parked{1'000};
  // How long a batch is retried and split while another writer is in the way. Beyond it, the database counts as
  // unavailable. It is enough to find one locked row among max_batch calls; a locked table would take minutes.
  std::chrono::milliseconds max_conflict_time{6'000};
};

class group_commit {
public:
  // `to` must outlive this object. `outage`: why the database is unavailable already.
  group_commit(transactions& to, group_commit_options options, std::optional<failure> outage = std::nullopt);
  // Writes the queue. If the database is unavailable, the queue is lost.
  ~group_commit();
  group_commit(const group_commit&) = delete;
  group_commit& operator=(const group_commit&) = delete;

  // Queues a call and returns at once. False: the queue is full, and the call is lost.
  bool write_behind(std::string key, std::function<void()> work);

  // Queues a call and waits until its transaction has ended. `writes`: whether the work changes anything.
  // errc::unavailable when the queue is full or the database is unavailable; if the database is known to be
  // unavailable, without waiting. errc::ledger_failed when the database rejects the call.
  template <class T> task<result<T>> run(std::string key, bool writes, std::function<result<T>()> work) {
    // Held between the work and the commit: no reply before the data is durable. Only its pointer goes from thread to
    // thread: a T may be large.
    const auto outcome = std::make_shared<std::optional<result<T>>>();
    const auto start = [this, writes, &key, &work, &outcome](const auto& reply) {
      call c;
      c.key = std::move(key);
      c.writes = writes;
      c.work = [work = std::move(work), outcome] { outcome->emplace(work()); };
      c.answer = [reply = reply](const failure* why) mutable {
        reply(why ? std::optional(*why) : std::optional<failure>());
      };
      if (auto refused = push(std::move(c))) reply(std::move(refused));
    };
    auto refused = co_await reply_from<std::optional<failure>>(start);
    if (refused) co_return std::move(*refused);
    co_return std::move(**outcome);
  }

  // Whether a call that writes and has this key is queued or not yet committed. A read of such a key goes through
  // run(), which orders it behind the write; a read of any other key may use another connection.
  bool has_pending(const std::string& key) const;

private:
  struct call {
    std::string key;
    std::function<void()> work;
    std::function<void(const failure*)> answer; // its argument: why the call failed, or nullptr; empty: written behind
    bool writes = true;

    bool is_awaited() const { return static_cast<bool>(answer); }
  };
  using calls = std::span<call*>;

  std::optional<failure> push(call c);
  void run_writer();
  bool take(std::vector<call>& batch);
  void wait_until_available();
  bool has_waiting_writes() const;
  void note_recovery();
  void commit(calls some, std::vector<call*>& postponed, int max_conflicts);
  void attempt(calls some);
  bool is_stopping();
  void refuse(call& c, const failure& why);
  bool is_conflict_too_long() const;
  void refuse_awaited(const transaction_error& why);
  void log_outage(const std::string& why);
  void put_back(std::span<call*> postponed);
  void park(call c);
  void unpark();
  void lose_queue(std::string_view why);
  void end_pending(const call& c);
  void answer(calls some);

  transactions& to_;
  const group_commit_options options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<call> queue_;
  std::unordered_map<std::string, std::size_t> pending_; // by key: how many calls that write are not yet committed
  bool is_stopping_ = false;
  bool has_awaited_call_ = false; // in the queue
  std::optional<failure> outage_; // why the database is unavailable; then the queue has no awaited call
  // Used by the writer thread only. An outage has ended when something was written, not when outage_ is empty again.
  std::optional<std::chrono::steady_clock::time_point> unwritable_since_;
  std::chrono::milliseconds pause_;
  bool has_tried_last_ = false; // at the end of the program
  std::string logged_why_;      // of the running outage
  std::chrono::steady_clock::time_point logged_at_{};
  std::atomic<bool> dropping_{false};
  std::vector<call> parked_; // write-behind calls whose rows another writer holds. Used by the writer thread only.
  std::chrono::steady_clock::time_point parked_until_{};
  std::chrono::steady_clock::time_point conflicts_until_{}; // of the batch that is written now
  std::thread writer_;                                      // last: it uses all members above
};

} // namespace postern
