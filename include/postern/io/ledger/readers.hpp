// Reads on threads and database connections of their own, so that no read waits behind the ledger's writer and no
// number of reads delays a write. A read sees everything that was committed before the call. Owned by one ledger, used
// by any thread. The destructor answers the queued reads, then ends the threads.
//
// While the database is unavailable, reads are refused at once; one thread tries to connect again, with growing pauses.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/sql/database.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace postern {

struct readers_options {
  std::size_t connections = 2;                                  // each with a thread
  std::size_t max_queue = 10'000;                               // reads that wait for a connection
  std::chrono::milliseconds first_pause{100}, max_pause{5'000}; // between attempts to reach the database
};

class readers {
public:
  // Makes one connection, on the thread that will use it, when its first read arrives. Throws transaction_error.
  using connect_function = std::function<std::unique_ptr<sql::database>()>;

  readers(connect_function connect, readers_options options);
  ~readers();
  readers(const readers&) = delete;
  readers& operator=(const readers&) = delete;

  // Runs `work` on one of the connections and waits for its result. The work must only read; it may run twice.
  // errc::unavailable when the database is unavailable or the queue is full, errc::ledger_failed when the database
  // rejects a statement.
  template <class T> task<result<T>> read(std::function<result<T>(sql::database&)> work) {
    const auto start = [this, &work](const auto& reply) {
      auto outcome = std::make_shared<std::optional<result<T>>>();
      query q;
      q.work = [work = std::move(work), outcome](sql::database& db) { outcome->emplace(work(db)); };
      q.answer = [reply = reply, outcome](const failure* why) mutable {
        reply(why ? result<T>(*why) : std::move(**outcome));
      };
      if (auto refused = push(std::move(q))) reply(result<T>(std::move(*refused)));
    };
    co_return co_await reply_from<result<T>>(start);
  }

private:
  struct query {
    std::function<void(sql::database&)> work;
    std::function<void(const failure*)> answer; // its argument: why the query failed, or nullptr
  };

  std::optional<failure> push(query q);
  void run_thread();
  bool take(query& q);
  std::optional<failure> run(const query& q, std::unique_ptr<sql::database>& db);
  void attempt(const query& q, std::unique_ptr<sql::database>& db);
  bool refuse_queue(const failure& why);
  void wait_until_available(std::unique_ptr<sql::database>& db);

  const connect_function connect_;
  const readers_options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<query> queue_;
  bool stopping_ = false;
  std::optional<failure> outage_;    // why the database is unavailable; then the queue is empty
  std::vector<std::thread> threads_; // last: they use all members above
};

} // namespace postern
