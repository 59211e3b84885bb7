#include <postern/core/fair_budget.hpp>

#include <algorithm>

namespace postern {
namespace {

std::uint64_t amount_of(const std::map<std::string, std::uint64_t>& shares, const std::string& name) {
  const auto found = shares.find(name);
  return found == shares.end() ? 0 : found->second;
}

void subtract(std::map<std::string, std::uint64_t>& shares, const std::string& name, std::uint64_t amount) {
  const auto found = shares.find(name);
  if (found == shares.end()) return;
  found->second -= amount;
  if (found->second == 0) shares.erase(found);
}

} // namespace

fair_budget::fair_budget(std::uint64_t capacity, std::uint64_t reserve)
    : capacity_(capacity), reserve_(std::min(reserve, capacity)), share_(std::max<std::uint64_t>(capacity / 4, 1)),
      full_(capacity_ - std::min(capacity_, reserve_ + capacity_ / 8)), full_share_(share_ - share_ / 8) {}

// --- taking and giving back -------------------------------------------------------------------------

void fair_budget::set_caller(holder& h, const std::string& caller) {
  subtract(callers_, h.caller_, h.held_);
  h.caller_ = caller;
  if (!caller.empty() && h.held_) callers_[caller] += h.held_;
}

bool fair_budget::take(holder& h, std::uint64_t amount) {
  if (h.number_ == 0) enter(h);
  if (fits(h, amount) && !is_overtaking(h)) {
    add(h, amount);
    return true;
  }
  h.wanted_ = amount;
  (h.held_ ? begun_ : newcomers_).insert(&h);
  is_pressed_ = true;
  return false;
}

void fair_budget::enter(holder& h) {
  h.number_ = ++last_number_;
  h.turn_ = h.number_ + (h.client.empty() ? 0 : setback * holders_[h.client]++);
  all_.insert(&h);
}

bool fair_budget::take_spare(holder& h, std::uint64_t amount) {
  const bool is_spare = !capacity_ || (taken() + amount <= capacity_ / 2 && fits_shares(h, amount));
  if (is_spare) add(h, amount);
  return is_spare;
}

void fair_budget::add(holder& h, std::uint64_t amount) {
  h.held_ += amount;
  held_ += amount;
  if (!h.client.empty()) clients_[h.client] += amount;
  if (!h.caller_.empty()) callers_[h.caller_] += amount;
  if (!h.group_.empty()) groups_[h.group_] += amount;
}

void fair_budget::give_back(holder& h, std::uint64_t amount) {
  h.held_ -= amount;
  held_ -= amount;
  subtract(clients_, h.client, amount);
  subtract(callers_, h.caller_, amount);
  subtract(groups_, h.group_, amount);
}

void fair_budget::stop_waiting(holder& h) {
  begun_.erase(&h);
  newcomers_.erase(&h);
  h.wanted_ = 0;
}

void fair_budget::leave(holder& h) {
  if (h.number_ == 0) return;
  stop_waiting(h);
  give_back(h, h.held_);
  all_.erase(&h);
  subtract(holders_, h.client, 1);
  if (leader_ == &h) leader_ = nullptr;
  h.number_ = 0;
  h.is_leaving_ = false;
}

// --- who may take, and who waits --------------------------------------------------------------------

bool fair_budget::fits_shares(const holder& h, std::uint64_t amount) const {
  if (!h.group_.empty() && amount_of(groups_, h.group_) + amount > std::max<std::uint64_t>(capacity_ / 2, 1))
    return false;
  return amount_of(clients_, h.client) + amount <= share_ && amount_of(callers_, h.caller_) + amount <= share_;
}

bool fair_budget::fits(const holder& h, std::uint64_t amount) const {
  if (!capacity_ || held_ == h.held_) return true; // alone, a holder may even have more than there is
  if (&h == leader_) return taken() + amount <= capacity_;
  return taken() + amount + reserve_ <= capacity_ && fits_shares(h, amount);
}

// A holder must not overtake one that waits ahead of it in the queue, unless that one waits for its client's share
// only.
bool fair_budget::is_overtaking(const holder& h) const {
  if (&h == leader_) return false;
  const auto is_ahead = [&](const holder* w) { return fits_shares(*w, w->wanted_); };
  const auto end_in = [&](const queue& q) { return q.lower_bound(const_cast<holder*>(&h)); };
  if (h.held_) return std::any_of(begun_.begin(), end_in(begun_), is_ahead);
  return std::any_of(begun_.begin(), begun_.end(), is_ahead) ||
         std::any_of(newcomers_.begin(), end_in(newcomers_), is_ahead);
}

// The leader leads until it leaves, or until neither the reserve is touched nor its share exceeded.
void fair_budget::choose_leader() {
  if (leader_ && (leader_->wanted_ || taken() + reserve_ > capacity_ || !fits_shares(*leader_, 0))) return;
  leader_ = !begun_.empty() ? *begun_.begin() : !newcomers_.empty() ? *newcomers_.begin() : nullptr;
}

std::vector<fair_budget::holder*> fair_budget::grant() {
  std::vector<holder*> out;
  while (grant_next(out)) {
  }
  return out;
}

bool fair_budget::grant_next(std::vector<holder*>& out) {
  choose_leader();
  const auto give = [&](holder* h) {
    const auto amount = h->wanted_;
    stop_waiting(*h);
    add(*h, amount);
    out.push_back(h);
    return true;
  };
  if (leader_ && leader_->wanted_ && fits(*leader_, leader_->wanted_)) return give(leader_);
  for (const auto* waiting : {&begun_, &newcomers_})
    for (auto* h : *waiting) {
      if (fits(*h, h->wanted_)) return give(h);
      if (fits_shares(*h, h->wanted_)) return false; // it waits for the whole budget; nobody behind it goes first
    }
  return false;
}

// --- who must leave ---------------------------------------------------------------------------------

// The holders that take longer than `patience` to end, the slowest first.
std::vector<std::pair<fair_budget::duration, fair_budget::holder*>> fair_budget::slow_holders() const {
  std::vector<std::pair<duration, holder*>> slow;
  for (auto* h : all_) {
    if (h->is_leaving_ || h->held_ == 0) continue;
    if (const auto left = h->time_left(); left && *left > patience) slow.emplace_back(*left, h);
  }
  std::sort(slow.begin(), slow.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  return slow;
}

std::vector<fair_budget::holder*> fair_budget::choose_leavers() {
  std::vector<holder*> out;
  is_pressed_ = !begun_.empty() || !newcomers_.empty();
  if (!capacity_) return out;
  // The amounts without the holders that are leaving.
  auto all = taken();
  auto clients = clients_, callers = callers_;
  const auto goes = [&](const holder& h) {
    all -= h.held_;
    subtract(clients, h.client, h.held_);
    subtract(callers, h.caller_, h.held_);
  };
  for (const auto* h : all_)
    if (h->is_leaving_) goes(*h);
  const auto is_crowded = [&](const holder& h) {
    return all > full_ || amount_of(clients, h.client) > full_share_ || amount_of(callers, h.caller_) > full_share_;
  };
  for (auto& [left, h] : slow_holders()) {
    if (!is_crowded(*h)) continue;
    goes(*h);
    h->is_leaving_ = true;
    out.push_back(h);
  }
  return out;
}

// --- speed ------------------------------------------------------------------------------------------

std::optional<fair_budget::duration> time_left(std::uint64_t left, std::uint64_t arrived,
                                               fair_budget::duration waited) {
  using seconds = std::chrono::duration<double>;
  if (waited < std::chrono::seconds(1)) return std::nullopt;
  constexpr double presumed = 512 * 1024; // bytes a second
  constexpr double for_ever = 1e8;        // seconds
  const auto observed = std::min(1.0, seconds(waited) / seconds(fair_budget::patience));
  const auto own = static_cast<double>(std::max<std::uint64_t>(arrived, 1)) / seconds(waited).count();
  const auto speed = observed * own + (1 - observed) * presumed;
  return std::chrono::duration_cast<fair_budget::duration>(
      seconds(std::min(static_cast<double>(left) / speed, for_ever)));
}

} // namespace postern
