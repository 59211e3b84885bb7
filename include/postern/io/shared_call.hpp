// One call for all who need its answer: the first caller starts the work, and callers that come while it runs wait for
// the same answer. Shared by all threads.
#pragma once

#include <postern/io/tasks.hpp>

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace postern {

// Must outlive the loops on which it is called.
template <class T> class shared_call {
public:
  using work = std::function<task<result<T>>()>;

  // The answer of the work that runs now; without one, `begin` is started on the thread of this call. The work goes on
  // when its callers have gone. errc::cancelled: its loop ended.
  task<result<T>> join(work begin) {
    const auto executor = co_await asio::this_coro::executor;
    const auto wait = [&](const auto& answer) {
      std::unique_lock lock(mutex_);
      waiting_.push_back(answer);
      if (waiting_.size() > 1) return;
      lock.unlock();
      cleanup_group(executor).start(run(std::move(begin)));
    };
    co_return co_await reply_from<result<T>>(wait);
  }

  bool is_running() {
    std::lock_guard lock(mutex_);
    return !waiting_.empty();
  }

private:
  task<> run(work begin) {
    // Answers also when the work throws, or when this coroutine is destroyed while the work runs.
    struct answer_all {
      shared_call& call;
      result<T> answer = failure{errc::cancelled, "the work ended without an answer"};
      ~answer_all() {
        for (auto& one : call.take_waiting()) one(answer);
      }
    } all{*this};
    all.answer = co_await begin();
  }

  std::vector<std::function<void(result<T>)>> take_waiting() {
    std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }

  std::mutex mutex_;
  std::vector<std::function<void(result<T>)>> waiting_; // not empty while the work runs
};

} // namespace postern
