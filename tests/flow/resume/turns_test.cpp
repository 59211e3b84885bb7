#include "support/fake_body.hpp"
#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/flow/resume/turns.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

const std::string id = "01a20a86-41d4-7ac8-8ecb-000000000010";

struct fixture {
  millis_clock now{1'000'000'000s};
  test::fake_ledger ledger;
  turns here{ledger, [this] { return now; }}, other_node{ledger, [this] { return now; }};

  fixture() {
    open_multipart m;
    m.id = id;
    m.way = upload_way::resumable;
    ledger.multiparts[id] = m;
  }
  open_multipart& row() { return ledger.multiparts.at(id); }
};

task<> pause(std::chrono::milliseconds length) {
  timer t(co_await asio::this_coro::executor, length);
  co_await t.async_wait(use_task);
}

// A request that reads a body until it is interrupted.
task<> hold(std::unique_ptr<turn> mine, test::fake_body& body, int& order) {
  auto watching = mine->watch(body, 24h);
  co_await std::move(watching);
  BOOST_TEST(body.is_interrupted);
  BOOST_TEST(order++ == 1);
  mine->note_kept({77, 1});
  auto released = co_await mine->release(millis_clock{5s});
  BOOST_TEST(released.has_value());
}

task<> newcomer(turns& at, int& order) {
  co_await pause(20ms);
  BOOST_TEST(order++ == 0);
  auto mine = co_await at.take(id);
  BOOST_REQUIRE(mine.has_value());
  BOOST_TEST(order++ == 2);
  BOOST_TEST((*mine)->row().kept.size == 77u);
}

task<> one_after_the_other(turns& first, turns& second) {
  using namespace boost::asio::experimental::awaitable_operators;
  auto mine = co_await first.take(id);
  test::fake_body body("");
  int order = 0;
  auto both = hold(std::move(*mine), body, order) && newcomer(second, order);
  co_await std::move(both);
  BOOST_TEST(order == 3);
}

} // namespace

BOOST_FIXTURE_TEST_CASE(a_turn_is_free_and_then_taken, fixture) {
  auto mine = test::run_task(here.take(id)).value();
  BOOST_TEST(!row().holder.empty());
  BOOST_TEST((row().held_until == now + turns::lease));
  BOOST_TEST(test::run_task(mine->release(now + 1h)).has_value());
  BOOST_TEST(row().holder.empty());
  BOOST_TEST((row().due_at == now + 1h));
  BOOST_TEST(test::run_task(here.take(id)).has_value());
  ledger.multiparts.clear();
  BOOST_TEST((test::run_task(here.take(id)).error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(a_newcomer_on_this_node_stops_the_holder_at_once, fixture) {
  const auto begun = std::chrono::steady_clock::now();
  test::run_task(one_after_the_other(here, here));
  BOOST_TEST((std::chrono::steady_clock::now() - begun < turns::look)); // it was told, and did not look
}

BOOST_FIXTURE_TEST_CASE(a_newcomer_on_another_node_is_seen_in_the_ledger, fixture) {
  test::run_task(one_after_the_other(here, other_node));
}

BOOST_FIXTURE_TEST_CASE(a_newcomer_that_comes_before_the_body_is_read_is_not_forgotten, fixture) {
  struct steps {
    static task<> run(turns& at, test::fake_ledger& l) {
      auto mine = co_await at.take(id);
      auto refused = co_await l.take_turn(id, "another", millis_clock{1s}, millis_clock{2s});
      BOOST_TEST(refused.value().holder != "another");
      test::fake_body body("");
      co_await (*mine)->watch(body, 24h);
      BOOST_TEST((body.is_interrupted && (*mine)->must_let_go() && !(*mine)->is_lost()));
    }
  };
  test::run_task(steps::run(here, ledger));
}

BOOST_FIXTURE_TEST_CASE(a_turn_that_another_node_has_taken_is_lost, fixture) {
  auto mine = test::run_task(here.take(id)).value();
  row().holder = "another"; // this process was frozen for longer than its lease
  test::fake_body body("");
  struct steps {
    static task<> run(turn& mine, byte_source& body) { co_await mine.watch(body, 24h); }
  };
  test::run_task(steps::run(*mine, body));
  BOOST_TEST((mine->is_lost() && mine->must_let_go() && body.is_interrupted));
  BOOST_TEST((test::run_task(mine->release(now)).error().code == errc::conflict));
  BOOST_TEST(row().holder == "another");
}

BOOST_FIXTURE_TEST_CASE(while_the_ledger_is_away_a_turn_lasts_as_long_as_it_was_promised, fixture) {
  auto mine = test::run_task(here.take(id)).value();
  ledger.broken = failure(errc::unavailable, "the ledger");
  test::fake_body body("");
  struct steps {
    static task<> run(turn& mine, byte_source& body, millis_clock& now) {
      using namespace boost::asio::experimental::awaitable_operators;
      auto both = mine.watch(body, 24h) && age(mine, now);
      co_await std::move(both);
    }
    static task<> age(turn& mine, millis_clock& now) {
      co_await pause(turns::look + 500ms);
      BOOST_TEST(!mine.must_let_go());
      now += turns::lease;
      co_await pause(turns::look);
      BOOST_TEST(mine.must_let_go());
      mine.stop_watching();
    }
  };
  test::run_task(steps::run(*mine, body, now));
  BOOST_TEST(body.is_interrupted);
}
