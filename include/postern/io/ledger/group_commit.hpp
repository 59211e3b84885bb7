// Group commit: calls queue up, one writer thread takes what there is and commits it as one transaction. It knows
// nothing of what is written: a call's work is a function, run between begin() and commit(), on the writer thread.
//
// A call is awaited or written behind. An awaited one is answered when its transaction is committed, or cannot be. One
// that is written behind stays in the queue while there is nowhere to write it, and is lost (counted, logged) only when
// the queue is full, when it is refused for a reason of its own, or at the end of the program. Works may be run more
// than once, the last one counts; what they do must bear repeating after a commit whose answer got lost.
//
// Calls for the same key run in their order. Calls of different keys are sorted by it within a transaction, so that
// several writers of one database take their locks in the same order; nobody can see the order inside a transaction. A
// call without a key runs after all before it and before all after it.
#pragma once

#include <postern/base/error.hpp>
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
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace postern {

// Why a transaction failed, so far as it matters for what is done next.
enum class trouble {
  own,      // one of its calls cannot be written: the others are tried without it
  conflict, // another writer was in the way: the same again
  away,     // what is written to cannot be reached, now
  broken,   // it is there and cannot write: the disk is full
};

struct transaction_error : std::runtime_error {
  transaction_error(trouble k, const std::string& what) : std::runtime_error(what), kind(k) {}
  trouble kind;
};

// What is written to. Used by one thread. begin() reaches for it anew when it was away. All may throw
// transaction_error.
class transactions {
public:
  virtual ~transactions() = default;
  virtual void begin(bool writes) = 0;
  virtual void commit() = 0;
  virtual void roll_back() noexcept = 0;
};

struct group_commit_options {
  std::size_t queue = 200'000;          // calls waiting at most
  std::size_t batch = 2'000;            // calls in one transaction at most
  std::chrono::milliseconds linger{20}; // how long calls that nobody waits for are collected
  std::chrono::milliseconds first_pause{100}, longest_pause{5'000}; // until it is tried again when it was away
  // Until what nobody waits for is tried again, when another writer held its row.
  std::chrono::milliseconds parked{1'000};
};

class group_commit {
public:
  // `to` must outlive it.
  group_commit(transactions& to, group_commit_options options);
  // Writes what there is. When it cannot be written, it is lost.
  ~group_commit();
  group_commit(const group_commit&) = delete;
  group_commit& operator=(const group_commit&) = delete;

  // Written behind; returns at once. False: the queue is full, and it is dropped.
  bool behind(std::string key, std::function<void()> work);

  // Awaited. errc::unavailable when the queue is full or nothing can be written now (at once when that is known
  // already), errc::ledger_failed when it was refused. `writes`: does it change anything?
  template <class T> task<result<T>> ask(std::string key, bool writes, std::function<result<T>()> work) {
    const auto start = [this, writes, &key, &work](auto reply) {
      // Kept between the work and the commit: nothing is answered that is not durable.
      auto kept = std::make_shared<std::optional<result<T>>>();
      call c;
      c.key = std::move(key);
      c.writes = writes;
      c.work = [work = std::move(work), kept] { kept->emplace(work()); };
      c.answer = [reply, kept](const failure* why) mutable { reply(why ? result<T>(*why) : std::move(**kept)); };
      if (auto refused = push(std::move(c))) reply(result<T>(std::move(*refused)));
    };
    co_return co_await reply_from<result<T>>(start);
  }

private:
  struct call {
    std::string key;
    std::function<void()> work;
    std::function<void(const failure*)> answer; // with why it failed or nothing; empty: written behind
    bool writes = true;
  };
  using calls = std::span<call*>;

  std::optional<failure> push(call c);
  void write();
  bool take(std::vector<call>& batch);
  void wait_until_back();
  void settle(calls some, std::vector<call*>& kept, int tries);
  void attempt(calls some);
  bool is_stopping();
  void refuse(call& c, const failure& why);
  void gone(const transaction_error& why);
  void put_back(std::span<call*> kept);
  void park(call c);
  void unpark();
  void lose_all(std::string_view why);

  transactions& to_;
  const group_commit_options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<call> queue_;
  bool stopping_ = false;
  bool awaited_ = false;        // somebody waits for a call in the queue
  std::optional<failure> away_; // nothing can be written now; then nothing that is awaited is in the queue
  std::atomic<bool> dropping_{false};
  std::vector<call> parked_; // written behind, and in another's way: tried again then. The writer's own.
  std::chrono::steady_clock::time_point parked_until_{};
  std::thread writer_; // last: it uses all of the above
};

} // namespace postern
