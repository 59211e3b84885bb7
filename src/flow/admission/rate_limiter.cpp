#include <postern/flow/admission/rate_limiter.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::size_t max_buckets = 100'000;
constexpr std::size_t max_noticed = 1'024; // users a round
constexpr double max_debt = 10;            // bursts

} // namespace

rate_limiter::rate_limiter(std::uint64_t per_second, std::uint64_t burst, std::string refusal)
    : per_second_(static_cast<double>(per_second)), burst_(static_cast<double>(std::max(burst, per_second))),
      noticeable_(std::max<std::uint64_t>(1, per_second / 10)), refusal_(std::move(refusal)) {
  noticed_.reserve(max_noticed);
}

double rate_limiter::tokens_at(const bucket& b, time_point now) const {
  return std::min(burst_, b.tokens + per_second_ * std::chrono::duration<double>(now - b.filled_at).count());
}

// With the lock held.
rate_limiter::bucket_map::value_type& rate_limiter::find_or_add(std::string_view user, time_point now) {
  if (const auto found = buckets_.find(user); found != buckets_.end()) return *found;
  // A full bucket equals a missing one, so full buckets can go. When none is full, the memory limit wins over the rate
  // limit.
  if (buckets_.size() >= max_buckets)
    std::erase_if(buckets_, [&](const auto& b) { return !b.second.is_noticed && tokens_at(b.second, now) >= burst_; });
  if (buckets_.size() >= max_buckets) {
    noticed_.clear();
    buckets_.clear();
  }
  return *buckets_.emplace(std::pmr::string(user, &memory_), bucket{burst_, now}).first;
}

result<void> rate_limiter::take(std::string_view user, time_point now) {
  if (per_second_ == 0) return {};
  std::lock_guard lock(mutex_);
  auto& of = find_or_add(user, now);
  auto& b = of.second;
  b.tokens = tokens_at(b, now);
  b.filled_at = now;
  if (b.tokens < 1) return failure{errc::too_many_requests, refusal_};
  b.tokens -= 1;
  count(of);
  return {};
}

// --- with other nodes -------------------------------------------------------------------------------

// With the lock held, as the next one.
void rate_limiter::count(bucket_map::value_type& of) {
  auto& b = of.second;
  if (b.round != round_) {
    b.round = round_;
    b.taken = 0;
  }
  if (++b.taken >= noticeable_) notice(of);
}

void rate_limiter::notice(bucket_map::value_type& of) {
  if (of.second.is_noticed || noticed_.size() >= max_noticed) return;
  of.second.is_noticed = true;
  noticed_.push_back(&of);
}

std::vector<rate_limiter::use> rate_limiter::begin_round(std::size_t max) {
  std::vector<use> all;
  std::lock_guard lock(mutex_);
  const auto taken = [this](const bucket& b) { return b.round == round_ ? b.taken : 0; };
  const auto is_heavier = [&](const auto* a, const auto* b) { return taken(a->second) > taken(b->second); };
  const auto n = std::min(max, noticed_.size());
  std::partial_sort(noticed_.begin(), noticed_.begin() + static_cast<std::ptrdiff_t>(n), noticed_.end(), is_heavier);
  all.reserve(n);
  for (auto* of : noticed_) {
    of->second.is_noticed = false;
    if (all.size() < n) all.push_back({std::string(of->first), taken(of->second)});
  }
  noticed_.clear();
  ++round_;
  return all;
}

bool rate_limiter::take_elsewhere(std::string_view user, std::uint64_t taken, time_point now) {
  std::lock_guard lock(mutex_);
  if (taken == 0 && !buckets_.contains(user)) return false;
  auto& of = find_or_add(user, now);
  auto& b = of.second;
  b.tokens = std::max(tokens_at(b, now) - static_cast<double>(taken), -max_debt * burst_);
  b.filled_at = now;
  if (b.tokens >= burst_) return false;
  notice(of);
  return true;
}

} // namespace postern
