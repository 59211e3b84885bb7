#include <postern/core/fair_budget.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

struct holder : fair_budget::holder {
  explicit holder(std::string name = {}, std::optional<fair_budget::duration> left = std::nullopt) {
    client = std::move(name);
    time_left = [this] { return takes_longer; };
    takes_longer = left;
  }
  std::optional<fair_budget::duration> takes_longer;
};

using holders = std::vector<fair_budget::holder*>;

} // namespace

BOOST_AUTO_TEST_CASE(what_is_taken_is_counted_and_given_back) {
  fair_budget b(1000, 0);
  holder h;
  BOOST_TEST(b.take(h, 100));
  BOOST_TEST(b.take(h, 50));
  b.charge(7);
  BOOST_TEST(b.taken() == 157u);
  b.give_back(h, 20);
  BOOST_TEST(h.held() == 130u);
  b.leave(h);
  b.discharge(7);
  BOOST_TEST(b.taken() == 0u);
}

BOOST_AUTO_TEST_CASE(a_budget_of_zero_has_no_limit) {
  fair_budget b(0, 0);
  holder h("a");
  BOOST_TEST(b.take(h, 1ull << 50));
  BOOST_TEST(b.take_spare(h, 1ull << 50));
  BOOST_TEST(!b.is_short());
  BOOST_TEST(!b.is_half_taken());
}

BOOST_AUTO_TEST_CASE(alone_a_holder_may_have_more_than_there_is) {
  fair_budget b(100, 10);
  holder h("a"), other("b");
  BOOST_TEST(b.take(h, 5000));
  BOOST_TEST(!b.take(other, 1));
}

BOOST_AUTO_TEST_CASE(one_client_has_a_quarter_and_one_caller_too) {
  fair_budget b(1000, 0);
  holder a("x"), c("x"), d("y"), e("z");
  BOOST_TEST(b.take(d, 1));
  BOOST_TEST(b.take(a, 200));
  BOOST_TEST(!b.take(c, 100));
  b.set_caller(d, "user");
  b.set_caller(e, "user");
  BOOST_TEST(b.take(d, 200));
  BOOST_TEST(!b.take(e, 100));
}

BOOST_AUTO_TEST_CASE(one_group_has_half) {
  fair_budget b(8, 0);
  std::deque<holder> silent, others;
  const auto take = [&](std::deque<holder>& of, const char* group, const std::string& client) {
    auto& h = of.emplace_back(client);
    b.set_group(h, group);
    return b.take(h, 1);
  };
  for (int n = 0; n < 4; ++n) BOOST_TEST(take(silent, "silent", "s" + std::to_string(n)));
  BOOST_TEST(!take(silent, "silent", "s4"));
  BOOST_TEST(b.grant().size() == 1u); // the oldest that waits leads
  BOOST_TEST(!take(silent, "silent", "s5"));
  BOOST_TEST(b.grant().empty());
  for (int n = 0; n < 3; ++n) BOOST_TEST(take(others, "other", "o" + std::to_string(n)));
  b.leave(silent[0]);
  b.leave(silent[1]);
  BOOST_TEST(b.grant() == (holders{&silent[5]}));
}

BOOST_AUTO_TEST_CASE(who_waits_for_its_own_share_holds_up_nobody_else) {
  fair_budget b(1000, 0);
  holder first("x"), second("x"), third("x"), other("y");
  BOOST_TEST(b.take(other, 1));
  BOOST_TEST(b.take(first, 250));
  BOOST_TEST(!b.take(second, 100));
  BOOST_TEST(b.grant() == (holders{&second})); // the oldest that waits leads: it may have more than its share
  BOOST_TEST(!b.take(third, 100));
  BOOST_TEST(b.grant().empty());
  BOOST_TEST(b.take(other, 100));
  b.leave(first);
  b.leave(second);
  BOOST_TEST(b.grant() == (holders{&third}));
}

BOOST_AUTO_TEST_CASE(the_oldest_that_has_begun_goes_first) {
  fair_budget b(1000, 100);
  std::deque<holder> all;
  for (const char* name : {"a", "b", "c", "d", "e"}) all.emplace_back(name);
  for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(b.take(all[i], 225)); // 100 are left: the reserve
  BOOST_TEST(!b.take(all[4], 10));                                     // a newcomer
  BOOST_TEST(!b.take(all[2], 60));
  BOOST_TEST(!b.take(all[1], 60));
  BOOST_TEST(b.grant() == (holders{&all[1]})); // leads, and takes from the reserve
  BOOST_TEST(b.grant().empty());
  b.leave(all[1]);
  BOOST_TEST(b.grant() == (holders{&all[2], &all[4]}));
}

BOOST_AUTO_TEST_CASE(spare_memory_is_given_while_half_is_free) {
  fair_budget b(1000, 0);
  holder h("a"), other("b");
  BOOST_TEST(b.take(other, 240));
  BOOST_TEST(b.take_spare(h, 200));
  BOOST_TEST(!b.take_spare(h, 100));
  BOOST_TEST(!h.is_waiting());
  BOOST_TEST(!b.is_half_taken());
  b.charge(100);
  BOOST_TEST(b.is_half_taken());
}

BOOST_AUTO_TEST_CASE(the_slowest_leave_and_no_more_than_needed) {
  fair_budget b(1000, 0);
  std::deque<holder> all;
  for (int i = 0; i < 9; ++i) all.emplace_back("client " + std::to_string(i), (i + 5) * 3s);
  for (auto& h : all) BOOST_TEST(b.take(h, 100));
  BOOST_TEST(b.is_short()); // 100 of 1000 are free, less than an eighth
  BOOST_TEST(b.choose_leavers() == (holders{&all[8]}));
  BOOST_TEST(b.choose_leavers().empty()); // it has not left yet, but will
  b.leave(all[8]);
  BOOST_TEST(!b.is_short());
}

BOOST_AUTO_TEST_CASE(nobody_leaves_who_ends_soon_or_is_too_young_to_be_judged) {
  fair_budget b(1000, 0);
  holder soon("a", 9s), young("b"), slow("c", 11s), another("d", 5s);
  for (auto* h : {&soon, &young, &another}) BOOST_TEST(b.take(*h, 250));
  BOOST_TEST(b.take(slow, 200));
  BOOST_TEST(b.is_short());
  BOOST_TEST(b.choose_leavers() == (holders{&slow}));
  b.leave(slow);
  holder last("e", 1s);
  BOOST_TEST(b.take(last, 200));
  BOOST_TEST(b.choose_leavers().empty());
}

BOOST_AUTO_TEST_CASE(the_slowest_leave_when_their_client_has_its_share) {
  fair_budget b(1000, 0);
  holder slow("x", 60s), slower("x", 90s), other("y", 200s), newcomer("x");
  BOOST_TEST(b.take(other, 10));
  BOOST_TEST(b.take(slow, 125));
  BOOST_TEST(b.take(slower, 125));
  BOOST_TEST(!b.take(newcomer, 50));
  BOOST_TEST(b.choose_leavers() == (holders{&slower})); // not the slowest of all, who has taken little
}

BOOST_AUTO_TEST_CASE(many_of_one_client_are_not_ahead_of_anothers_first) {
  fair_budget b(1000, 0);
  holder full("full");
  BOOST_TEST(b.take(full, 1000)); // alone, it may have everything
  std::deque<holder> many;
  for (int i = 0; i < 3; ++i) BOOST_TEST(!b.take(many.emplace_back("many"), 10));
  holder two[] = {holder("two"), holder("two")}, one("one");
  for (auto* h : {&two[0], &two[1], &one}) BOOST_TEST(!b.take(*h, 10));
  b.leave(full);
  BOOST_TEST(b.grant() == (holders{&many[0], &two[0], &one, &many[1], &two[1], &many[2]}));
}

BOOST_AUTO_TEST_CASE(a_setback_has_an_end) {
  fair_budget b(100, 0);
  holder full("full");
  BOOST_TEST(b.take(full, 100));
  std::deque<holder> many;
  for (int i = 0; i < 3; ++i) BOOST_TEST(!b.take(many.emplace_back("many"), 100));
  std::deque<holder> others;
  fair_budget::holder* leaves = &full;
  std::size_t grants = 0;
  // One of another client comes for each that leaves.
  for (std::size_t of_many = 0; of_many < 3; ++grants) {
    BOOST_TEST(!b.take(others.emplace_back("other " + std::to_string(grants)), 100));
    b.leave(*leaves);
    const auto next = b.grant();
    BOOST_TEST_REQUIRE(next.size() == 1u);
    leaves = next.front();
    if (leaves->client == "many") ++of_many;
    BOOST_TEST_REQUIRE(grants < 3 * fair_budget::setback);
  }
  BOOST_TEST(grants > fair_budget::setback);
}

BOOST_AUTO_TEST_CASE(time_left_follows_from_the_speed_so_far) {
  BOOST_TEST(!time_left(1000, 10, 999ms).has_value());
  BOOST_TEST((time_left(1000, 10, 10s).value() == 1000s));
  BOOST_TEST((time_left(0, 10, 1s).value() == 0s));
  BOOST_TEST((time_left(1, 0, 20s).value() == 20s));
  BOOST_TEST((time_left(~0ull, 0, 1h).value() > 24h * 365)); // no overflow
}

BOOST_AUTO_TEST_CASE(who_stalls_at_its_start_is_not_the_slowest) {
  constexpr std::uint64_t mib = 1 << 20;
  const auto stalled = time_left(50 * mib, 0, 1s).value(), slow = time_left(5 * mib, 20 << 10, 10s).value();
  BOOST_TEST((stalled > fair_budget::patience)); // leaves if there is no slower one
  BOOST_TEST((stalled * 10 < slow));
  BOOST_TEST((time_left(50 * mib, 0, 10s).value() > slow)); // stalled for long
}

// --- a model: many clients that take, wait, end and break off, in an order that chance decides -------------

namespace {

constexpr std::uint64_t capacity = 1000, reserve = 100;

// An upload needs `needs` in all, takes it in steps as its bytes arrive, and gives everything back when it ends.
struct upload : holder {
  using holder::holder;
  std::uint64_t needs = 0;
  bool has_ended = false;
};

struct model {
  explicit model(unsigned seed, std::uint64_t reserved) : random(seed), budget(capacity, reserved) {
    const auto clients = 1 + random() % 6;
    for (std::size_t n = 2 + random() % 60; n > 0; --n) {
      auto& u = all.emplace_back("client " + std::to_string(random() % clients));
      if (random() % 3 == 0) budget.set_caller(u, "user " + std::to_string(random() % 3));
      if (random() % 3 == 0) budget.set_group(u, "store " + std::to_string(random() % 3));
      u.needs = 1 + random() % reserve;
    }
  }

  // One step of an upload that does not wait: takes more, or ends. In `patient` runs nobody breaks off.
  void step(upload& u, bool is_patient) {
    const bool breaks_off = !is_patient && random() % 20 == 0;
    if (u.held() == u.needs || breaks_off) {
      budget.leave(u);
      u.has_ended = true;
    } else if (random() % 5 == 0 && u.held()) {
      if (budget.take_spare(u, 5)) budget.give_back(u, 5);
    } else {
      budget.take(u, 1 + random() % (u.needs - u.held()));
    }
    granted += budget.grant().size();
    require_room();
  }
  void require_room() {
    if (budget.taken() > capacity) is_overdrawn = true;
  }

  // Whether all uploads end. A wait has no end here: if it could last for ever, it does.
  bool all_end(bool is_patient) {
    for (;;) {
      std::vector<upload*> ready;
      bool is_over = true;
      for (auto& u : all) {
        is_over = is_over && u.has_ended;
        if (!u.has_ended && !u.is_waiting()) ready.push_back(&u);
      }
      if (is_over) return true;
      if (ready.empty()) return false; // everybody waits for somebody who waits
      step(*ready[random() % ready.size()], is_patient);
    }
  }

  std::minstd_rand random;
  fair_budget budget;
  std::deque<upload> all;
  std::size_t granted = 0;
  bool is_overdrawn = false;
};

} // namespace

BOOST_AUTO_TEST_CASE(nobody_waits_for_ever_in_thousands_of_schedules) {
  std::size_t waited = 0;
  for (unsigned seed = 1; seed <= 4000; ++seed) {
    model m(seed, reserve);
    BOOST_TEST_REQUIRE(m.all_end(seed % 2 == 0), "schedule " << seed);
    BOOST_TEST_REQUIRE(!m.is_overdrawn, "schedule " << seed);
    BOOST_TEST_REQUIRE(m.budget.taken() == 0u, "schedule " << seed);
    waited += m.granted;
  }
  BOOST_TEST(waited > 10'000u); // the schedules were hard enough
}

BOOST_AUTO_TEST_CASE(without_the_reserve_some_schedules_would_never_end) {
  bool all_end = true;
  for (unsigned seed = 1; seed <= 4000; ++seed) all_end = model(seed, 0).all_end(true) && all_end;
  BOOST_TEST(!all_end);
}
