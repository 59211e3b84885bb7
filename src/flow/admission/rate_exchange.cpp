#include <postern/base/digest.hpp>
#include <postern/flow/admission/rate_exchange.hpp>

#include <utility>

namespace postern {
namespace {

// Of limited length, whatever the user is called. The ledger gets no addresses and no names.
std::string id_of(const std::string& limit, const std::string& user) {
  return sha256_hex(limit + "\n" + user).substr(0, 32);
}

} // namespace

rate_exchange::rate_exchange(std::vector<limit> limits, std::string node,
                             std::function<rate_limiter::time_point()> clock)
    : limits_(std::move(limits)), node_(std::move(node)), clock_(std::move(clock)) {}

task<> rate_exchange::run_round(ledger& records, millis_clock now) {
  std::unordered_map<std::string, shared_bucket> buckets;
  std::vector<rate_count> taken;
  for (const auto& l : limits_)
    for (auto& one : l.of->begin_round(max_users)) {
      auto id = id_of(l.name, one.user);
      taken.push_back({id, one.taken});
      buckets.emplace(std::move(id), shared_bucket{l.of, std::move(one.user)});
    }
  const auto before = std::exchange(seen_, {});
  if (taken.empty()) co_return;
  // After a failure, the counts of this round are dropped, and what others took meanwhile is not looked up later.
  const auto others = co_await records.exchange_rates(node_, std::move(taken), now);
  if (!others) co_return;
  for (const auto& [id, total] : *others) {
    const auto found = buckets.find(id);
    if (found == buckets.end()) continue;
    const auto last = before.find(id);
    // The first total of a user is where counting begins. A total falls when a node's count has expired.
    const auto since = last != before.end() && total > last->second ? total - last->second : 0;
    const auto& [limiter, user] = found->second;
    if (limiter->take_elsewhere(user, since, clock_())) seen_.emplace(id, total);
  }
}

} // namespace postern
