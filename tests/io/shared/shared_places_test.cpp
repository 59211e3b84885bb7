#include "support/run_task.hpp"
#include <postern/io/shared/shared_places.hpp>

#include <boost/test/unit_test.hpp>

#include <utility>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(one_client_has_only_its_share) {
  shared_places places(4, 2);
  auto first = places.take("a"), second = places.take("a");
  BOOST_TEST((first && second));
  BOOST_TEST(!places.take("a"));
  BOOST_TEST(!!places.take("b"));
  first.reset();
  BOOST_TEST(!!places.take("a"));
}

BOOST_AUTO_TEST_CASE(all_clients_have_the_limit_together) {
  shared_places places(4, 2);
  std::vector<shared_places::place> held;
  for (const auto* client : {"a", "a", "b", "c"}) held.push_back(places.take(client));
  for (const auto& one : held) BOOST_TEST(!!one);
  BOOST_TEST(!places.take("d"));
  BOOST_TEST(!places.take(""));
  held.pop_back();
  BOOST_TEST(!!places.take("d"));
}

BOOST_AUTO_TEST_CASE(work_for_no_client_has_no_share) {
  shared_places places(4, 2);
  std::vector<shared_places::place> held;
  for (int n = 0; n < 4; ++n) held.push_back(places.take(""));
  for (const auto& one : held) BOOST_TEST(!!one);
  BOOST_TEST(!places.take(""));
}

BOOST_AUTO_TEST_CASE(a_wait_ends_with_a_place_or_after_its_time) {
  shared_places places(1, 1);
  auto held = places.take("a");
  bool found = true, found_later = false;
  const auto wait = [&]() -> task<> {
    found = !!co_await places.wait_for("b", 20ms);
    group waiting(co_await asio::this_coro::executor);
    const auto later = [&]() -> task<> { found_later = !!co_await places.wait_for("b", 10s); };
    waiting.start(later());
    held.reset();
    co_await waiting.wait(10s);
  };
  test::run_task(wait());
  BOOST_TEST(!found);
  BOOST_TEST(found_later);
}
