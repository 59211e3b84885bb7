#include "support/cutting_proxy.hpp"
#include "support/postgres_fixture.hpp"
#include "support/wait_until.hpp"

#include <boost/test/unit_test.hpp>

#include <set>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

BOOST_GLOBAL_FIXTURE(skipped_where_there_is_none);
BOOST_FIXTURE_TEST_SUITE(postgres_outage_, postgres_fixture)

BOOST_AUTO_TEST_CASE(a_restart_of_an_idle_server_is_not_noticed) {
  const auto l = open();
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
  for (int round = 0; round < 2; ++round) {
    round ? server().kill() : server().stop();
    server().start();
    BOOST_TEST(run_task(l->find(some_upload(1).id)).has_value());
    BOOST_TEST(run_task(l->confirm(some_completion(some_upload(2)))).has_value());
  }
}

BOOST_AUTO_TEST_CASE(a_server_that_is_away_at_the_start_is_used_when_it_comes) {
  server().stop();
  ledger_options o = telling({{"https://a", {"*"}}});
  o.url = url;
  BOOST_CHECK_THROW(make_ledger(o), std::runtime_error); // a command does not wait
  o.may_connect_later = true;
  const auto l = make_ledger(o);
  l->issue(some_upload(1));
  const auto refused = run_task(l->confirm(some_completion(some_upload(2))));
  BOOST_TEST((!refused && refused.error().code == errc::unavailable));
  BOOST_TEST(metric("postern_ledger_up") == 0);
  server().start();
  wait_until_up(*l);
  BOOST_TEST(metric("postern_ledger_up") == 1);
  BOOST_TEST(run_task(l->find(some_upload(1).id)).has_value()); // the schema was made, and the row written
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(2)))).has_value());
}

BOOST_AUTO_TEST_CASE(a_database_that_refuses_at_the_start_says_what_to_do) {
  const auto absent = server().url("not_there");
  const auto why = thrown_by(absent);
  BOOST_TEST(has(why, "\"not_there\" does not exist; create the database, or correct its name in ledger.url"), why);
  auto nobody = absent;
  nobody.replace(nobody.find("postgres@"), 9, "nobody_at_all@");
  const auto role = thrown_by(nobody);
  BOOST_TEST(has(role, "role \"nobody_at_all\" does not exist; create the role, or correct the user"), role);
}

BOOST_AUTO_TEST_CASE(nothing_is_lost_when_the_server_restarts_under_load) {
  auto l = open();
  const auto dropped = metric("postern_ledger_dropped_total");
  std::atomic<bool> done{false};
  std::atomic<unsigned> answered{0}, refused{0}, slow{0};
  std::vector<unsigned> good; // used by one thread
  unsigned issued = 0;
  std::thread user([&] {
    const auto use = [&]() -> task<> {
      for (unsigned n = 0; !done; ++n) {
        l->issue(some_upload(1'000'000 + (issued = n)));
        const auto begin = std::chrono::steady_clock::now();
        const auto recorded = co_await l->confirm(some_completion(some_upload(n)));
        if (seconds_since(begin) > 3) ++slow;
        if (recorded)
          good.push_back(n), ++answered;
        else if (recorded.error().code == errc::unavailable)
          ++refused, std::this_thread::sleep_for(1ms);
        else
          BOOST_ERROR(recorded.error().on);
      }
    };
    run_task(use());
  });
  for (int round = 0; round < 4; ++round) {
    const auto before = answered.load(), refused_before = refused.load();
    BOOST_TEST(wait_until([&] { return answered >= before + 100; }));
    round % 2 ? server().kill() : server().stop();
    BOOST_TEST(wait_until([&] { return refused >= refused_before + 50; }));
    server().start();
  }
  const auto before = answered.load();
  BOOST_TEST(wait_until([&] { return answered >= before + 100; }));
  done = true;
  user.join();
  BOOST_TEST(slow == 0u); // a stopped server refuses connections at once
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped);
  upload_filter f;
  f.limit = 100'000;
  BOOST_TEST(run_task(l->flush()).has_value());
  f.state = upload_state::completed;
  std::set<std::string> completed;
  for (const auto& u : run_task(l->list(f)).value()) completed.insert(u.id);
  for (const auto n : good) BOOST_TEST(completed.contains(some_upload(n).id), n);
  f.state = upload_state::issued; // they were written behind, some of them while the server was stopped
  BOOST_TEST(run_task(l->list(f)).value().size() == issued + 1);
}

BOOST_AUTO_TEST_CASE(a_frozen_server_is_noticed_and_write_behind_calls_wait) {
  const auto l = open_with({.url = url, .timeout = 2s});
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
  server().freeze();
  l->issue(some_upload(2));
  auto begin = std::chrono::steady_clock::now();
  const auto first = run_task(l->confirm(some_completion(some_upload(3))));
  BOOST_TEST((!first && first.error().code == errc::unavailable));
  BOOST_TEST((seconds_since(begin) > 1 && seconds_since(begin) < 4));
  begin = std::chrono::steady_clock::now();
  for (int n = 0; n < 5; ++n) {
    const auto next = run_task(l->confirm(some_completion(some_upload(3))));
    BOOST_TEST((!next && next.error().code == errc::unavailable));
  }
  BOOST_TEST(seconds_since(begin) < 0.5);
  l->issue(some_upload(4));
  std::this_thread::sleep_for(3s); // the writer tries to connect
  server().freeze(false);
  wait_until_up(*l);
  for (const unsigned n : {1u, 2u, 4u}) BOOST_TEST(run_task(l->find(some_upload(n).id)).has_value(), n);
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(3)))).has_value());
}

BOOST_AUTO_TEST_CASE(a_row_that_stays_locked_delays_no_other_row) {
  const auto l = open_with({.url = url, .timeout = 2s});
  for (const unsigned n : {1u, 2u}) BOOST_TEST(run_task(l->confirm(some_completion(some_upload(n)))).has_value());
  postgres::database other(url, 60s);
  other.begin(true);
  const auto hold = "SELECT id FROM uploads WHERE id = '" + some_upload(1).id + "' FOR UPDATE";
  other.execute(hold.c_str());
  l->start_receiving(some_upload(1), "t1"); // written behind: it is parked
  auto again = some_completion(some_upload(1));
  again.etag = "another";
  const auto held = run_task(l->confirm(again));
  BOOST_TEST((!held && held.error().code == errc::unavailable));
  std::this_thread::sleep_for(1s);
  for (unsigned n = 3; n < 30; ++n) {
    BOOST_TEST(run_task(l->confirm(some_completion(some_upload(n)))).has_value(), n);
    std::this_thread::sleep_for(50ms);
  }
  other.roll_back();
  BOOST_TEST(run_task(l->confirm(again)).has_value());
}

BOOST_AUTO_TEST_CASE(a_call_that_waits_for_a_lock_is_refused_after_a_while) {
  const auto l = open_with({.url = url, .timeout = 2s});
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
  postgres::database other(url, 60s);
  other.begin(true);
  other.execute("LOCK TABLE uploads");
  const auto begin = std::chrono::steady_clock::now();
  const auto failed = run_task(l->confirm(some_completion(some_upload(2))));
  BOOST_TEST((!failed && failed.error().code == errc::unavailable));
  BOOST_TEST(has(failed.error().on, "lock timeout"), failed.error().on);
  BOOST_TEST(seconds_since(begin) < 4);
  other.roll_back();
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(2)))).has_value());
}

// The server has committed, but the caller cannot know it.
BOOST_AUTO_TEST_CASE(a_commit_whose_reply_was_lost_is_repeated_without_a_second_message) {
  open().reset();
  cutting_proxy proxy(server().port());
  const auto l = open_with({.url = server().url_at(proxy.port(), name)});
  const auto u = some_upload(1);
  l->issue(some_upload(2));
  proxy.cut_after("COMMIT");
  const auto lost = run_task(l->confirm(some_completion(u)));
  BOOST_TEST((!lost && lost.error().code == errc::unavailable));
  BOOST_TEST(proxy.cuts() == 1u);
  const auto other = open();
  BOOST_TEST((run_task(other->find(u.id)).value().state == upload_state::completed));
  wait_until_up(*l);
  check_as_completed(run_task(l->confirm(some_completion(u))).value().row, some_completion(u));
  BOOST_TEST(messages(*other).size() == 1u);
  BOOST_TEST(run_task(other->list({})).value().size() == 2u);

  proxy.cut_after("COMMIT");
  auto c = some_completion(u, "e2");
  BOOST_TEST(!run_task(l->confirm(c)).has_value());
  wait_until_up(*l);
  BOOST_TEST(run_task(l->confirm(c)).value().row.overwritten_etag == "e2");
  BOOST_TEST(types_of(messages(*other)) == (names{"upload.completed", "upload.overwritten"}));
}

BOOST_AUTO_TEST_CASE(reads_are_refused_at_once_while_the_server_is_stopped_and_answered_after_its_start) {
  const auto l = open();
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
  BOOST_TEST(run_task(l->find(some_upload(1).id)).has_value());
  server().stop();
  for (int n = 0; n < 50; ++n) {
    const auto begin = std::chrono::steady_clock::now();
    const auto refused = run_task(l->find(some_upload(1).id));
    BOOST_TEST((!refused && refused.error().code == errc::unavailable));
    BOOST_TEST(seconds_since(begin) < 1);
  }
  server().start();
  const auto begin = std::chrono::steady_clock::now();
  while (!run_task(l->find(some_upload(1).id)) && seconds_since(begin) < 30)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  BOOST_TEST(run_task(l->find(some_upload(1).id)).has_value());
}

BOOST_AUTO_TEST_CASE(a_frozen_server_delays_no_read_for_longer_than_the_timeout) {
  const auto l = open_with({.url = url, .timeout = 2s});
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
  server().freeze();
  std::vector<std::thread> readers; // more threads than connections
  std::atomic<unsigned> refused{0};
  const auto since = std::chrono::steady_clock::now();
  for (int n = 0; n < 20; ++n)
    readers.emplace_back([&] {
      const auto found = run_task(l->find(some_upload(1).id));
      if (!found && found.error().code == errc::unavailable) ++refused;
    });
  for (auto& t : readers) t.join();
  BOOST_TEST(seconds_since(since) < 4);
  BOOST_TEST(refused == 20u);
  const auto again = std::chrono::steady_clock::now();
  for (int n = 0; n < 20; ++n) BOOST_TEST(!run_task(l->find(some_upload(1).id)).has_value());
  BOOST_TEST(seconds_since(again) < 0.5);
  server().freeze(false);
  const auto begin = std::chrono::steady_clock::now();
  while (!run_task(l->find(some_upload(1).id)) && seconds_since(begin) < 30)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  BOOST_TEST(run_task(l->find(some_upload(1).id)).has_value());
}

BOOST_AUTO_TEST_CASE(a_table_that_is_locked_for_long_delays_its_reads_and_no_others) {
  const auto l = open();
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
  postgres::database other(url, 60s);
  other.begin(true);
  other.execute("LOCK TABLE uploads IN ACCESS EXCLUSIVE MODE");
  const auto begin = std::chrono::steady_clock::now();
  const auto refused = run_task(l->find(some_upload(1).id));
  BOOST_TEST((!refused && refused.error().code == errc::unavailable));
  BOOST_TEST(has(refused.error().on, "lock timeout"), refused.error().on);
  BOOST_TEST(seconds_since(begin) < 3);
  BOOST_TEST(wait_until([&] { return run_task(l->list_webhooks({})).has_value(); }));
  other.roll_back();
  BOOST_TEST(wait_until([&] { return run_task(l->find(some_upload(1).id)).has_value(); }));
}

// A read runs again on a new connection, whatever step of it was cut.
BOOST_AUTO_TEST_CASE(a_read_whose_connection_is_cut_is_repeated) {
  const auto u = some_upload(1);
  BOOST_TEST(run_task(open()->confirm(some_completion(u))).has_value());
  // The first statements of the connection, the preparation of the read, its execution.
  for (const char* step : {"search_path", "SELECT id, state", "no such id"})
    for (const bool before : {true, false}) {
      BOOST_TEST_CONTEXT(step << (before ? " does not arrive" : " is not answered")) {
        cutting_proxy proxy(server().port());
        const auto l = open_with({.url = server().url_at(proxy.port(), name), .use = {.reads = {.connections = 1}}});
        before ? proxy.cut_before(step) : proxy.cut_after(step);
        const auto found = run_task(l->find("no such id"));
        BOOST_TEST((!found && found.error().code == errc::not_found));
        BOOST_TEST(proxy.cuts() == 1u);
        BOOST_TEST((run_task(l->find_all({u.id})).value().at(0).state == upload_state::completed));
        BOOST_TEST(run_task(l->list({})).value().size() == 1u);
      }
    }
}

// Cut before COMMIT: no row and no message.
BOOST_AUTO_TEST_CASE(a_transaction_whose_connection_is_cut_leaves_nothing) {
  open().reset();
  cutting_proxy proxy(server().port());
  const auto l = open_with({.url = server().url_at(proxy.port(), name)});
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value()); // prepares the statements
  proxy.cut_before("media");                                                     // the bucket, a bound value
  const auto failed = run_task(l->confirm(some_completion(some_upload(2))));
  BOOST_TEST((!failed && failed.error().code == errc::unavailable));
  BOOST_TEST(proxy.cuts() == 1u);
  BOOST_TEST(messages(*open()).size() == 1u);
  proxy.let_all_pass();
  wait_until_up(*l);
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(2)))).has_value());
  BOOST_TEST(messages(*open()).size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
