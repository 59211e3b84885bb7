// One call for all who need its answer: the first caller starts the work, and callers that come while it runs wait for
// the same answer. Shared by all threads.
#pragma once

#include <postern/io/tasks.hpp>

#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace postern {

// Must outlive the loops on which it is called.
template <class T> class shared_call {
public:
  using work = std::function<task<result<T>>()>;

  // The answer of the work that runs now. When none runs, `begin` is started on the thread of this call. The work is
  // not cancelled. errc::cancelled: its loop ended. errc::internal: it threw an exception.
  task<result<T>> join(work begin) {
    const auto always = [] { return std::optional<result<T>>{}; };
    co_return co_await join_unless(always, std::move(begin));
  }

  // The same, but when no work runs and refuse() has an answer, that is the answer, and nothing is started. refuse() is
  // called under a lock, so only one of many calls at the same time finds that no work runs.
  template <class Refuse> task<result<T>> join_unless(Refuse refuse, work begin) {
    const auto executor = co_await asio::this_coro::executor;
    const auto wait = [&](const auto& answer) {
      std::unique_lock lock(mutex_);
      const bool begins = waiting_.empty();
      std::optional<result<T>> refused;
      if (begins) refused = refuse();
      if (!refused) waiting_.push_back(answer);
      lock.unlock();
      if (refused) return answer(std::move(*refused));
      if (begins) start(executor, std::move(begin));
    };
    co_return co_await reply_from<result<T>>(wait);
  }

private:
  void start(const io_executor& executor, work begin) {
    try {
      cleanup_group(executor).start(run(std::move(begin)));
    } catch (const std::exception& e) { // no memory: nobody would ever answer
      for (auto& one : take_waiting()) one(failure{errc::internal, e.what()});
    }
  }

  task<> run(work begin) {
    // Answers also when this coroutine is destroyed while the work runs.
    struct answer_all {
      shared_call& call;
      result<T> answer = failure{errc::cancelled, "the work ended without an answer"};
      ~answer_all() {
        for (auto& one : call.take_waiting()) one(answer);
      }
    } all{*this};
    try {
      all.answer = co_await begin();
    } catch (const std::exception& e) {
      all.answer = failure{errc::internal, e.what()};
    }
  }

  std::vector<std::function<void(result<T>)>> take_waiting() {
    std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }

  std::mutex mutex_;
  std::vector<std::function<void(result<T>)>> waiting_; // not empty while the work runs
};

} // namespace postern
