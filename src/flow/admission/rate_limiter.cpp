#include <postern/flow/admission/rate_limiter.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::size_t max_buckets = 100'000;

} // namespace

rate_limiter::rate_limiter(std::uint64_t per_second, std::uint64_t burst, std::string refusal)
    : per_second_(static_cast<double>(per_second)), burst_(static_cast<double>(std::max(burst, per_second))),
      refusal_(std::move(refusal)) {}

double rate_limiter::tokens_at(const bucket& b, time_point now) const {
  return std::min(burst_, b.tokens + per_second_ * std::chrono::duration<double>(now - b.filled_at).count());
}

result<void> rate_limiter::take(const std::string& user, time_point now) {
  if (per_second_ == 0) return {};
  std::lock_guard lock(mutex_);
  // A full bucket equals a missing one, so full buckets can go. When none is full, the memory limit wins over the rate
  // limit.
  if (buckets_.size() >= max_buckets)
    std::erase_if(buckets_, [&](const auto& b) { return tokens_at(b.second, now) >= burst_; });
  if (buckets_.size() >= max_buckets) buckets_.clear();
  auto& users = buckets_.try_emplace(std::pmr::string(user, &memory_), bucket{burst_, now}).first->second;
  users = {tokens_at(users, now), now};
  if (users.tokens < 1) return failure{errc::too_many_requests, refusal_};
  users.tokens -= 1;
  return {};
}

} // namespace postern
