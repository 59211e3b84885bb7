// A budget that many share: memory in bytes, or requests to the store. Its rules decide who gets how much, who waits
// and who must leave. It decides only; io/allowance adds the mutex, the clock and the waiting. Pure.
//
// A holder takes what it uses now, and more when it needs more. That allows three problems, and a rule stands against
// each:
// - All wait for each other. So the reserve, the most that one holder can need, is kept free for the leader alone: the
//   first holder in the queue. The leader can always end, and then the next one leads.
// - One client has everything. So the holders of one client have at most a quarter of the budget, and those of one
//   caller too; those of one group, such as the uploads to one store, have at most half. Only the leader may have more.
//   And each holder that a client has already puts its next one back by `setback` places in the order of arrival: of a
//   thousand that one client sends, few are ahead of another's first.
// - The slow have everything. So when less than an eighth of the budget (besides the reserve) or of a share is free,
//   the slowest holders must leave. A holder that ends within `patience`, or is too young to be judged, stays.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace postern {

class fair_budget {
public:
  using duration = std::chrono::steady_clock::duration;
  static constexpr duration patience = std::chrono::seconds(10);
  static constexpr std::uint64_t setback = 100;

  class holder {
  public:
    std::string client; // in whose share it counts; empty: in none. Constant while it holds or waits
    // How long it will take to end. Nothing: too young to be judged.
    std::function<std::optional<duration>()> time_left;

    holder() = default;
    holder(const holder&) = delete;
    holder& operator=(const holder&) = delete;

    bool is_known() const { return number_ != 0; } // from the first take until leave
    std::uint64_t held() const { return held_; }
    bool is_waiting() const { return wanted_ > 0; }
    bool is_leaving() const { return is_leaving_; }

  private:
    friend class fair_budget;
    std::string caller_, group_;
    std::uint64_t number_ = 0; // in the order of the first take; 0: not in the budget
    std::uint64_t turn_ = 0; // its place in the queue; the number decides between equals. Constant while in the budget
    std::uint64_t held_ = 0, wanted_ = 0;
    bool is_leaving_ = false;
  };

  // `reserve`: the most that one holder can need. A capacity of 0 has no limit.
  fair_budget(std::uint64_t capacity, std::uint64_t reserve);

  // In which caller's share `h` counts too, from now on. Empty: in none.
  void set_caller(holder& h, const std::string& caller);
  // In which group `h` counts too, such as the uploads to one store: it may have half of the budget. Before the first
  // take.
  void set_group(holder& h, const std::string& group) { h.group_ = group; }
  // Takes `amount` now, or lets `h` wait for it and returns false. From its first take until leave, `h` must exist.
  bool take(holder& h, std::uint64_t amount);
  // Takes `amount` only while half of the budget is free. For what makes an upload faster, but is not needed.
  bool take_spare(holder& h, std::uint64_t amount);
  void give_back(holder& h, std::uint64_t amount);
  void stop_waiting(holder& h);
  // Gives everything back and stops waiting.
  void leave(holder& h);
  // What nobody is refused and nobody waits for: the memory of connections. Nobody has it as a share.
  void charge(std::uint64_t amount) { charged_ += amount; }
  void discharge(std::uint64_t amount) { charged_ -= amount; }

  // The holders that waited and have their amount now. To be asked after anything was given back, and after a take that
  // failed: it may have made a leader.
  std::vector<holder*> grant();
  // The holders that must leave now; each is named once. Looks at every holder: ask only while is_short.
  std::vector<holder*> choose_leavers();

  std::uint64_t taken() const { return charged_ + held_; }
  bool is_short() const { return capacity_ && (is_pressed_ || taken() > full_); }
  bool is_half_taken() const { return capacity_ && taken() > capacity_ / 2; }

private:
  using shares = std::map<std::string, std::uint64_t>;
  void enter(holder& h);
  void add(holder& h, std::uint64_t amount);
  bool fits(const holder& h, std::uint64_t amount) const;
  bool fits_shares(const holder& h, std::uint64_t amount) const;
  bool is_overtaking(const holder& h) const;
  bool grant_next(std::vector<holder*>& out);
  void choose_leader();
  std::vector<std::pair<duration, holder*>> slow_holders() const;

  struct by_turn {
    bool operator()(const holder* a, const holder* b) const {
      return std::pair(a->turn_, a->number_) < std::pair(b->turn_, b->number_);
    }
  };
  using queue = std::set<holder*, by_turn>;
  const std::uint64_t capacity_, reserve_, share_;
  const std::uint64_t full_, full_share_; // from here on holders must leave
  std::uint64_t charged_ = 0, held_ = 0, last_number_ = 0;
  shares clients_, callers_, groups_;
  std::map<std::string, std::uint64_t> holders_; // how many holders each client has here
  queue all_;
  queue begun_, newcomers_;  // the waiting holders: those that hold memory already, and the others
  holder* leader_ = nullptr; // may take from the reserve
  bool is_pressed_ = false;  // somebody waits
};

// How long the rest of an upload takes: `left` bytes are to come, `arrived` bytes have come in the time that was spent
// waiting for the client. Until it was observed for `patience`, the speed so far is mixed with an assumed one of half a
// MiB a second, so that a short stall does not make it the slowest. Nothing: less than a second was spent waiting,
// which is too little to judge.
std::optional<fair_budget::duration> time_left(std::uint64_t left, std::uint64_t arrived, fair_budget::duration waited);

} // namespace postern
