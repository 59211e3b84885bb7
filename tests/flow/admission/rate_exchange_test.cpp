#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/flow/admission/rate_exchange.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;
using test::run_task;

namespace {

// Nodes that share a ledger in memory. Their exchanges are a second apart, at different moments.
struct fixture {
  static constexpr unsigned rate = 20, burst = 40;

  struct node {
    node(fixture& f, const std::string& name)
        : limiter(rate, burst, "the limit"), exchange({{"sign", &limiter}}, name, [&f] { return f.now; }) {}
    rate_limiter limiter;
    rate_exchange exchange;
  };
  test::fake_ledger ledger;
  rate_limiter::time_point now{};
  node a{*this, "a"}, b{*this, "b"};

  void exchange(node& n) { run_task(n.exchange.run_round(ledger, millis_clock{})); }
  unsigned take_all(node& n, const std::string& user) {
    unsigned taken = 0;
    while (n.limiter.take(user, now)) ++taken;
    return taken;
  }
  // How often a user is admitted that asks all the time, where `asks` says so.
  unsigned admitted(std::chrono::milliseconds during, const std::function<bool(node&, int second)>& asks,
                    const std::string& user = "u") {
    unsigned all = 0;
    for (auto t = 0ms; t < during; t += 50ms, now += 50ms) {
      for (auto* n : {&a, &b})
        if (asks(*n, static_cast<int>(t / 1s))) all += take_all(*n, user);
      if (t % 1s == 300ms) exchange(a);
      if (t % 1s == 800ms) exchange(b);
    }
    return all;
  }
};

bool always(const fixture::node&, int) { return true; }

} // namespace

BOOST_FIXTURE_TEST_CASE(two_nodes_hold_one_rate, fixture) {
  const auto all = admitted(20s, always);
  BOOST_TEST(all <= 2 * (burst + rate) + 20 * rate); // each node's burst and one second, once
  BOOST_TEST(all >= burst + 19 * rate);
}

BOOST_FIXTURE_TEST_CASE(a_user_who_changes_the_node_gains_nothing, fixture) {
  const auto all = admitted(20s, [&](const node& n, int second) { return (&n == &a) == (second % 2 == 0); });
  BOOST_TEST(all <= 2 * (burst + rate) + 20 * rate);
}

BOOST_FIXTURE_TEST_CASE(without_the_ledger_each_node_limits_by_itself, fixture) {
  ledger.broken.emplace(errc::unavailable, "away");
  BOOST_TEST(admitted(10s, always) >= 2 * (burst + 9 * rate));
  ledger.broken.reset(); // what was admitted meanwhile is not counted now
  now += 10s;
  admitted(2s, always);
  const auto all = admitted(10s, always);
  BOOST_TEST(all <= 12 * rate);
  BOOST_TEST(all >= 6 * rate); // of the first second, it owes up to a burst
}

BOOST_FIXTURE_TEST_CASE(other_users_are_unaffected_and_a_user_who_waited_starts_anew, fixture) {
  admitted(5s, always);
  BOOST_TEST(take_all(b, "v") == burst);
  exchange(a), exchange(b), exchange(a);
  now += 10s;
  exchange(a), exchange(b);
  BOOST_TEST(take_all(a, "u") == burst);
}

BOOST_FIXTURE_TEST_CASE(each_limit_counts_its_own_users, fixture) {
  rate_limiter other(rate, burst, "another limit");
  rate_exchange elsewhere({{"status", &other}}, "c", [this] { return now; });
  BOOST_TEST(take_all(a, "u") == burst);
  for (int i = 0; i < 5; ++i) BOOST_TEST(other.take("u", now).has_value());
  exchange(a);
  run_task(elsewhere.run_round(ledger, millis_clock{}));
  BOOST_TEST(ledger.taken.size() == 2u);
}

BOOST_FIXTURE_TEST_CASE(an_exchange_is_bounded_and_names_nobody, fixture) {
  const std::string user = "jwt/ann@example.com";
  for (int n = 0; n < 2'000; ++n) {
    BOOST_TEST(a.limiter.take(user + std::to_string(n), now).has_value());
    BOOST_TEST(a.limiter.take(user + std::to_string(n), now).has_value());
  }
  exchange(a);
  BOOST_TEST(ledger.largest_exchange == rate_exchange::max_users);
  for (const auto& [id, of] : ledger.taken) BOOST_TEST((id.size() == 32 && id.find("ann") == id.npos));
  now += 10s;
  exchange(a); // all buckets are full again
  BOOST_TEST(ledger.exchanges == 2u);
  exchange(a);
  BOOST_TEST(ledger.exchanges == 2u);
}
