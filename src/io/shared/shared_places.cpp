#include <postern/io/shared/shared_places.hpp>

#include <algorithm>

namespace postern {

using std::chrono::steady_clock;

void shared_places::leave::operator()(by_client::value_type* client) const {
  std::lock_guard lock(from->mutex_);
  --from->all_taken_;
  if (--client->second == 0) from->taken_.erase(client->first);
}

shared_places::place shared_places::take(const std::string& client) {
  std::lock_guard lock(mutex_);
  place none(nullptr, leave{this});
  if (all_taken_ >= all_) return none;
  const auto own = taken_.try_emplace(client, 0).first;
  if (!client.empty() && own->second >= of_client_) return none; // it has places, so its entry is not a new one
  ++own->second;
  ++all_taken_;
  return {&*own, leave{this}};
}

task<shared_places::place> shared_places::wait_for(std::string client, std::chrono::milliseconds max_wait) {
  timer moment(co_await asio::this_coro::executor);
  const auto end = steady_clock::now() + max_wait;
  for (;;) {
    auto taken = take(client);
    if (taken || steady_clock::now() >= end) co_return taken;
    moment.expires_after(std::max(max_wait / 20, std::chrono::milliseconds(1)));
    co_await moment.async_wait(use_task);
  }
}

} // namespace postern
