#include <postern/io/shared/shared_head.hpp>

#include <algorithm>
#include <cstdint>

namespace postern {

using std::chrono::steady_clock;

task<result<stored_object>> shared_head::ask(object_name name, std::string client) {
  const auto executor = co_await asio::this_coro::executor;
  const auto id = name.bucket + "/" + name.key;
  const auto wait_for_answer = [&](const auto& answer) {
    std::unique_lock lock(mutex_);
    forget_old(steady_clock::now());
    auto& about = objects_[id];
    about.waiting.push_back(answer);
    const bool begins = about.waiting.size() == 1;
    const auto at = about.next_at;
    lock.unlock();
    if (!begins) return;
    try {
      cleanup_group(executor).start(ask_store(id, std::move(name), std::move(client), at));
    } catch (const std::exception& e) { // no memory: nobody would ever ask
      for (auto& all : take_waiting(id)) all(failure{errc::internal, e.what()});
    }
  };
  co_return co_await reply_from<result<stored_object>>(wait_for_answer);
}

task<> shared_head::ask_store(std::string id, object_name name, std::string client, clock_point at) {
  std::vector<reply> waiting;
  // When this coroutine is destroyed, the calls that wait must still be answered.
  const auto cancel = [&waiting, &id](shared_head* all) {
    if (waiting.empty()) waiting = all->take_waiting(id);
    for (auto& answer : waiting) answer(failure{errc::cancelled, "asking the store was cancelled"});
  };
  std::unique_ptr<shared_head, decltype(cancel)> cancel_guard(this, cancel);
  if (at > steady_clock::now()) {
    timer until(co_await asio::this_coro::executor);
    until.expires_at(at);
    co_await until.async_wait(use_task);
  }
  // Taken first: who waits for it holds no place that questions to other stores need.
  const auto of_store = co_await places_of_stores_.wait_for(share_of(name.bucket), max_wait);
  auto held = shared_places::place(nullptr, {&places_});
  if (of_store) held = co_await places_.wait_for(std::move(client), max_wait);
  waiting = take_waiting(id);
  result<stored_object> found =
      failure{errc::too_many_requests, "the store is being asked about many other objects; try again in a second"};
  if (held) found = co_await store_.head(std::move(name));
  (void)cancel_guard.release();
  for (auto& answer : waiting) answer(found);
}

// In whose share a question about this bucket counts. Empty: there is one store, and no share.
std::string shared_head::share_of(const std::string& bucket) const {
  return store_.count() > 1 ? std::to_string(reinterpret_cast<std::uintptr_t>(&store_.for_bucket(bucket))) : "";
}

// The calls that the question which is asked now answers. Later calls wait for the next one.
std::vector<shared_head::reply> shared_head::take_waiting(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto& about = objects_[id];
  about.next_at = steady_clock::now() + pause;
  return std::exchange(about.waiting, {});
}

void shared_head::forget_old(clock_point now) {
  if (objects_.size() < forget_at_) return;
  std::erase_if(objects_, [now](const auto& o) { return o.second.waiting.empty() && o.second.next_at <= now; });
  forget_at_ = std::max<std::size_t>(1024, 2 * objects_.size());
}

} // namespace postern
