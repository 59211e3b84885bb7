#include <postern/flow/admission/remembered_callers.hpp>

#include <utility>

namespace postern {
namespace {

constexpr std::size_t max_remembered = 10'000;

} // namespace

std::optional<caller> remembered_callers::find(const sha256_bytes& credentials, const grounds& on,
                                               seconds_clock now) const {
  std::lock_guard lock(mutex_);
  if (on != on_) return std::nullopt;
  const auto found = callers_.find(credentials);
  if (found == callers_.end() || found->second.expires <= now) return std::nullopt;
  return found->second.who;
}

void remembered_callers::add(const sha256_bytes& credentials, const grounds& on, const caller& who,
                             seconds_clock expires, seconds_clock now) {
  std::lock_guard lock(mutex_);
  if (on != std::exchange(on_, on)) callers_.clear();
  if (callers_.size() >= max_remembered) {
    std::erase_if(callers_, [now](const auto& c) { return c.second.expires <= now; });
    // Verifying again costs less than an order of use. Half of the room is free then, so this is rare.
    if (callers_.size() > max_remembered / 2) callers_.clear();
  }
  callers_.insert_or_assign(credentials, remembered{who, expires});
}

} // namespace postern
