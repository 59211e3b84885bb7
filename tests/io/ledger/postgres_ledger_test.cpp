#include "support/ledger_multipart_contract.hpp"
#include "support/ledger_rates_contract.hpp"
#include "support/ledger_verdict_contract.hpp"
#include "support/postgres_fixture.hpp"
#include "support/wait_until.hpp"
#include <postern/io/rows/checking_rows.hpp>
#include <postern/io/rows/completed_rows.hpp>
#include <postern/io/rows/upload_rows.hpp>

#include <boost/test/unit_test.hpp>

#include <mutex>
#include <set>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

BOOST_GLOBAL_FIXTURE(skipped_where_there_is_none);
BOOST_FIXTURE_TEST_SUITE(postgres_ledger_, postgres_fixture)

BOOST_AUTO_TEST_CASE(fulfils_the_contract) {
  const auto make = [](ledger_options o) {
    o.url = server().url(new_database());
    return make_ledger(o);
  };
  check_ledger(make);
  check_ledger_reads(make);
  check_ledger_work(make);
  check_quotas(make);
  check_completed(make);
  check_verdicts(make);
  check_multiparts(make);
  check_rates(make, true);
}

BOOST_AUTO_TEST_CASE(the_destructor_writes_the_queue) {
  {
    const auto l = open();
    for (unsigned n = 0; n < 5'000; ++n) l->issue(some_upload(n));
  }
  upload_filter f;
  f.limit = 20'000;
  BOOST_TEST(run_task(open()->list(f)).value().size() == 5'000u);
}

// --- several nodes ------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(two_nodes_that_confirm_the_same_uploads_record_one_completion_and_one_message_each) {
  constexpr unsigned uploads = 1000;
  const std::array nodes{open(), open()};
  std::atomic<unsigned> wrong{0};
  const auto work = [&](ledger& l, unsigned from) -> task<> {
    postern::group running(co_await asio::this_coro::executor);
    const auto confirm = [&](unsigned n) -> task<> {
      auto c = some_completion(some_upload(n));
      c.at = at_second(from * 10'000 + n); // a second completion would show another time
      const auto recorded = co_await l.confirm(std::move(c));
      if (!recorded || recorded->row.state != upload_state::completed) ++wrong;
    };
    for (unsigned n = 0; n < uploads; ++n)
      running.start(confirm((n * 7 + from * 331) % uploads)); // each coroutine in another order
    co_await running.wait(60s);
  };
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < 4; ++n) threads.emplace_back([&, n] { run_task(work(*nodes[n % 2], n)); });
  for (auto& t : threads) t.join();
  BOOST_TEST(wrong == 0u);
  webhook_filter f;
  f.limit = 10'000;
  std::set<std::string> announced;
  const auto all = messages(*nodes[0], f);
  for (const auto& m : all) announced.insert(m.upload_id);
  BOOST_TEST(all.size() == uploads);
  BOOST_TEST(announced.size() == uploads);
  upload_filter everything;
  everything.limit = 10'000;
  const auto first = run_task(nodes[0]->list(everything)).value(),
             second = run_task(nodes[1]->list(everything)).value();
  BOOST_TEST_REQUIRE((first.size() == uploads && second.size() == uploads));
  for (unsigned n = 0; n < uploads; ++n)
    BOOST_TEST((first[n].completed_at == second[n].completed_at && !first[n].overwritten_at));
}

BOOST_AUTO_TEST_CASE(a_lease_excludes_the_other_nodes) {
  constexpr unsigned uploads = 200;
  const std::array nodes{open(), open()};
  for (unsigned n = 0; n < uploads; ++n) {
    BOOST_TEST(run_task(nodes[0]->confirm(some_completion(some_upload(n)))).has_value());
    nodes[1]->issue(some_upload(1000 + n));
  }
  BOOST_TEST(run_task(nodes[1]->flush()).has_value());
  std::mutex mutex;
  names announced, asked;
  const std::vector<webhook_demand> demands{{"https://a", 7}};
  const auto work = [&](ledger& l) -> task<> {
    for (;;) {
      const auto messages = co_await l.lease_due_webhooks(at_second(9000), at_second(9999), demands);
      const auto questions = co_await l.lease_due_checks(at_second(9000), at_second(9999), 7, {});
      std::lock_guard lock(mutex);
      if (!messages || !questions || (messages->empty() && questions->empty())) co_return;
      for (const auto& m : *messages) announced.push_back(m.upload_id);
      for (const auto& u : *questions) asked.push_back(u.id);
    }
  };
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < 4; ++n) threads.emplace_back([&, n] { run_task(work(*nodes[n % 2])); });
  for (auto& t : threads) t.join();
  for (auto* list : {&announced, &asked}) {
    BOOST_TEST(list->size() == uploads);
    BOOST_TEST(std::set<std::string>(list->begin(), list->end()).size() == uploads);
  }
}

BOOST_AUTO_TEST_CASE(nodes_that_start_at_the_same_time_create_one_schema) {
  std::vector<std::thread> threads;
  std::atomic<unsigned> good{0};
  for (unsigned n = 0; n < 8; ++n)
    threads.emplace_back([&, n] {
      try {
        const auto l = open();
        if (run_task(l->confirm(some_completion(some_upload(n))))) ++good;
      } catch (const std::exception& e) {
        std::puts(e.what());
      }
    });
  for (auto& t : threads) t.join();
  BOOST_TEST(good == 8u);
  BOOST_TEST(messages(*open()).size() == 8u);
}

BOOST_AUTO_TEST_CASE(a_database_of_version_9_gets_its_table_of_rates) {
  BOOST_TEST(run_task(open()->confirm(some_completion(some_upload(1)))).has_value());
  postgres::database(url, 8s).execute("DROP TABLE rates; DROP TABLE multiparts; ALTER TABLE uploads DROP COLUMN way; "
                                      "UPDATE schema_version SET version = 9");
  const auto l = open();
  BOOST_TEST((run_task(l->find(some_upload(1).id)).value().state == upload_state::completed));
  const std::vector<rate_count> some{{"u", 3}};
  BOOST_TEST(run_task(l->exchange_rates("a", some, at_second(1))).value().at(0).taken == 0u);
  BOOST_TEST(run_task(l->exchange_rates("b", some, at_second(1))).value().at(0).taken == 3u);
}

// Nodes write rows of their own only, so an exchange does not wait for another node's transaction.
BOOST_AUTO_TEST_CASE(an_exchange_of_rates_waits_for_no_other_node) {
  const auto l = open();
  const std::vector<rate_count> some{{"u", 3}};
  BOOST_TEST(run_task(l->exchange_rates("a", some, at_second(1))).has_value());
  postgres::database other(url, 8s);
  other.begin(true);
  other.execute("INSERT INTO rates VALUES ('u', 'b', 1, 9999999999999); UPDATE rates SET taken = 4 WHERE node = 'b'");
  const auto repeated = metric("postern_ledger_repeated_total");
  BOOST_TEST(run_task(l->exchange_rates("a", some, at_second(10))).value().at(0).taken == 0u); // not yet committed
  BOOST_TEST(metric("postern_ledger_repeated_total") == repeated);
  other.commit();
  BOOST_TEST(run_task(l->exchange_rates("a", some, at_second(11))).value().at(0).taken == 4u);
}

BOOST_AUTO_TEST_CASE(a_newer_schema_is_refused) {
  open().reset();
  postgres::database(url, 8s).execute("UPDATE schema_version SET version = 1000");
  const auto why = thrown_by(url);
  BOOST_TEST(has(why, "newer version"), why);
  BOOST_TEST(has(why, name), why);
  BOOST_TEST(has(why, "ledger.url"), why);
}

// The ledger's transaction locks the first row and waits for the second; another session does the opposite.
BOOST_AUTO_TEST_CASE(a_transaction_is_retried_after_a_deadlock) {
  const auto l = open_with({.url = url, .use = {.commits = {.linger = 200ms}}});
  const auto a = some_upload(1), b = some_upload(2);
  l->issue(a), l->issue(b);
  BOOST_TEST(run_task(l->flush()).has_value());
  const auto repeated = metric("postern_ledger_repeated_total");
  postgres::database other(url, 20s);
  other.execute("SET deadlock_timeout = '10s'"); // the ledger's session detects the deadlock first, after a second, and
                                                 // is rolled back
  other.begin(true);
  other.prepare("UPDATE uploads SET profile = 'x' WHERE id = $1")->bind(b.id).run();
  l->start_receiving(a, "t1"), l->start_receiving(b, "t1");
  std::this_thread::sleep_for(600ms); // it waits for b
  other.prepare("UPDATE uploads SET profile = 'x' WHERE id = $1")->bind(a.id).run();
  other.commit();
  for (const auto& u : {a, b}) {
    const auto found = run_task(l->find(u.id)).value();
    BOOST_TEST((found.state == upload_state::receiving && found.profile == "x"));
  }
  BOOST_TEST(metric("postern_ledger_repeated_total") > repeated);
}

// --- rejected calls -------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_rejected_call_fails_alone) {
  const auto l = open_with({.url = url, .use = {.commits = {.linger = 300ms}}});
  const auto dropped = metric("postern_ledger_dropped_total");
  for (unsigned n = 0; n < 60; ++n) {
    auto u = some_upload(n);
    if (n == 17) u.profile = std::string("with\0in it", 10);
    l->issue(u);
  }
  auto c = some_completion(some_upload(200));
  c.of.key = "\xff is no UTF-8";
  auto large = some_upload(201);
  large.id.clear(); // too large for an index entry, and random so that it cannot be compressed
  for (unsigned n = 0, chance = 1; n < 20'000; ++n)
    large.id += static_cast<char>('0' + (chance = chance * 48271 % 0x7fffffff) % 75);
  l->issue(large);
  const auto refused = run_task(l->confirm(c));
  BOOST_TEST((!refused && refused.error().code == errc::ledger_failed));
  BOOST_TEST(has(refused.error().on, "UTF8"), refused.error().on);
  BOOST_TEST(run_task(l->flush()).has_value());
  BOOST_TEST(run_task(l->list({})).value().size() == 59u);
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped + 2);
  BOOST_TEST(metric("postern_ledger_up") == 1);
}

BOOST_AUTO_TEST_CASE(a_missing_table_fails_calls_until_it_is_back) {
  const auto l = open();
  postgres::database other(url, 8s);
  other.execute("ALTER TABLE uploads RENAME TO elsewhere");
  l->issue(some_upload(2));
  const auto failed = run_task(l->find("x"));
  BOOST_TEST((!failed && failed.error().code == errc::ledger_failed));
  other.execute("ALTER TABLE elsewhere RENAME TO uploads");
  wait_until_up(*l);
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
  BOOST_TEST(run_task(l->find(some_upload(2).id)).has_value());
}

// --- reads ------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(reads_are_answered_while_the_writer_is_blocked) {
  const auto l = open();
  const auto done = some_upload(1), pending = some_upload(2);
  BOOST_TEST(run_task(l->confirm(some_completion(done))).has_value());
  postgres::database other(url, 60s);
  other.begin(true);
  other.execute("LOCK TABLE uploads IN EXCLUSIVE MODE"); // which readers do not need
  const auto repeated = metric("postern_ledger_repeated_total");
  l->issue(pending);
  BOOST_TEST(wait_until([&] { return metric("postern_ledger_repeated_total") != repeated; })); // the writer is blocked
  for (unsigned n = 0; n < 500; ++n) {
    BOOST_TEST((run_task(l->find(some_upload(1000 + n).id)).error().code == errc::not_found));
    BOOST_TEST((run_task(l->find(done.id)).value().state == upload_state::completed));
  }
  BOOST_TEST(run_task(l->find_all({done.id, pending.id})).value().size() == 1u);
  BOOST_TEST(run_task(l->list({})).value().size() == 1u);
  BOOST_TEST(run_task(l->list_webhooks({})).value().size() == 1u);
  other.roll_back();
  BOOST_TEST(run_task(l->flush()).has_value());
}

BOOST_AUTO_TEST_CASE(a_database_that_cannot_be_written_is_still_read) {
  open().reset();
  postgres::database other(url, 8s);
  other.execute("DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; "
                "GRANT USAGE ON SCHEMA postern TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA postern TO reader");
  BOOST_TEST(run_task(open()->confirm(some_completion(some_upload(1)))).has_value());
  const auto l = open_with({.url = "postgresql://reader@127.0.0.1:" + server().port() + "/" + name});
  const auto refused = run_task(l->confirm(some_completion(some_upload(2))));
  BOOST_TEST((!refused && refused.error().code == errc::ledger_failed));
  BOOST_TEST(has(refused.error().on, "permission denied"), refused.error().on);
  BOOST_TEST(run_task(l->find(some_upload(1).id)).has_value());
  BOOST_TEST((run_task(l->find(some_upload(2).id)).error().code == errc::not_found));
}

BOOST_AUTO_TEST_CASE(a_read_only_connection_rejects_writes) {
  open().reset();
  postgres::database reading(url, 8s, sql::access::read_only);
  reading.execute("SELECT * FROM uploads");
  BOOST_CHECK_EXCEPTION(reading.execute("DELETE FROM uploads"), transaction_error,
                        [](const auto& e) { return has(e.what(), "read-only"); });
}

// --- start-up ---------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(an_unusable_database_is_named_with_the_remedy_and_without_the_password) {
  postgres::database(url, 8s).execute(
      "DO $$ BEGIN CREATE ROLE weak LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
  struct row {
    std::string url, says, remedy;
  };
  const auto at = [&](const std::string& user) { return "postgresql://" + user + "@127.0.0.1:" + server().port(); };
  const std::vector<row> rows{
      {"postgresql://u:geheim@127.0.0.1:1/d", "onnection refused", "psql \"postgresql://u@127.0.0.1:1/d\""},
      {"postgres://u:geheim@no.such.host.invalid/d", "translate host name", "Check that the server runs"},
      {at("nobody:geheim") + "/" + name, "role \"nobody\" does not exist", "the user and the password are right"},
      {at("postgres:geheim") + "/nowhere", "database \"nowhere\" does not exist", "the database"},
      {at("weak:geheim") + "/" + name, "permission denied", "GRANT CREATE ON DATABASE"},
      {at("postgres:geheim") + "/" + name + "?sslmode=require", "SSL", "Check that the server runs"},
      {"postgresql://u:ge/geheim@host/d", "cannot be read", "%2F"},
      {"postgresql://u:ge@geheim@host/d", "cannot be read", "%40"},
      {"postgresql://u:ge%zzgeheim@host/d", "cannot be read", "%25"},
      {"postgresql://u:geheim@[::1/d", "cannot be read", "Write it like"},
      {"postgresql://u@host/d?nonsense=geheim", "cannot be read", "Write it like"},
  };
  for (const auto& r : rows) {
    BOOST_TEST_CONTEXT(r.url) {
      const auto why = thrown_by(r.url);
      BOOST_TEST(has(why, "ledger.url"), why);
      BOOST_TEST(has(why, r.says), why);
      BOOST_TEST(has(why, r.remedy), why);
      BOOST_TEST(!has(why, "geheim"), why);
      BOOST_TEST(!has(ledger_shown(r.url), "geheim"));
    }
  }
  BOOST_TEST(ledger_shown("postgres://u:p@h:1,i:2/d?password=q") == "postgresql://u@h,i:1,2/d");
  BOOST_TEST(ledger_shown("sqlite:a.db") == "sqlite:a.db");
}

BOOST_AUTO_TEST_CASE(a_role_without_the_right_to_create_tables_suffices) {
  open().reset();
  postgres::database(url, 8s).execute(
      "DO $$ BEGIN CREATE ROLE node LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; "
      "GRANT USAGE ON SCHEMA postern TO node; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA postern TO "
      "node");
  const auto l = open_with({.url = "postgresql://node@127.0.0.1:" + server().port() + "/" + name});
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
}

// --- large tables -----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(no_statement_scans_a_large_table) {
  postgres::database db(url, 60s);
  db.migrate();
  db.execute(
      "INSERT INTO uploads (id, state, profile, \"user\", bucket, key, metadata, min_size, max_size, created_at, "
      "expires_at, ask_at) SELECT md5(n::text), CASE n % 10 WHEN 0 THEN 'issued' WHEN 1 THEN 'failed' ELSE "
      "'completed' END, 'p', 'u', 'b', 'k', '{}', 0, 9, n, n, CASE WHEN n % 10 < 2 THEN n END "
      "FROM generate_series(1, 50000) n; "
      "INSERT INTO webhooks SELECT 'msg_' || md5(n::text), md5(n::text), 'https://a', 't', 'p', 0, n, "
      "CASE WHEN n % 50 > 0 THEN n END, '' FROM generate_series(1, 50000) n; ANALYZE");
  webhook_rows webhooks(db, {{"https://a", {"*"}}});
  upload_rows uploads(db, webhooks, 1s);
  const millis_clock first{1ms}, early{10ms}, late{49'990ms};
  db.begin(true);
  uploads.issue(some_upload(1));
  uploads.start_receiving(some_upload(1), "t1");
  uploads.fail(some_upload(1), "t1", "x", first);
  uploads.confirm(some_completion(some_upload(1)));
  uploads.lease_due_checks(early, late, 5, {});
  list_uploads(db, {.limit = 10});
  list_uploads(db, {.state = upload_state::failed, .limit = 10});
  list_uploads(db, {.since = late, .limit = 10});
  list_uploads(db, {.state = upload_state::failed, .since = late, .limit = 10});
  webhooks.due(early, late, {{"https://a", 5}});
  webhooks.expire("https://a", first, "x");
  uploads.break_off("x", "t");
  uploads.reserve_key(some_upload(2), "k/${filename}", "t");
  list_webhooks(db, {.is_dead = true, .limit = 10});
  list_webhooks(db, {.upload_id = "a", .limit = 10});
  webhooks.record_failed_delivery("x", "y", first);
  webhooks.record_delivery("x");
  webhooks.retry({"x"}, first);
  webhooks.purge({"x"});
  uploads.expire("x", first);
  list_uploads(db, {.unclaimed = true});
  checking_rows checking(db, webhooks, 1s);
  auto stored = some_completion(some_upload(7));
  stored.needs_verdict = true;
  uploads.confirm(stored);
  checking.lease_due(early, late, 5);
  checking.postpone("x", first, true);
  (void)checking.accept("x", "", first);
  (void)checking.check_again("x", {5, "e5", {}, {}}, first);
  (void)checking.finish_accepting("x", "e", first, {});
  (void)checking.reject("x", "", "", first, false);
  completed_rows completed(db, webhooks, 1s);
  (void)completed.claim("x", "y", first);
  completed.start_removing_unclaimed(first, late, 5, {});
  (void)completed.start_removing("x", first);
  (void)completed.finish_removing("x", first);
  uploads.purge(early, 5);
  find_upload(db, "x");
  find_uploads(db, {"x", "y"});
  db.roll_back();
  std::size_t explained = 0;
  for (const auto& text : db.prepared_texts()) {
    if (!has(text, "uploads") && !has(text, "webhooks")) continue;
    const auto name_of_it = "p" + std::to_string(explained++);
    db.execute(("PREPARE " + name_of_it + " AS " + text).c_str());
    std::string arguments = "NULL";
    for (int n = 2; has(text, "$" + std::to_string(n)); ++n) arguments += ", NULL";
    // The best plan of these depends on the value of created_at, so the server makes a plan for each value.
    const bool since = has(text, "created_at >= $2");
    if (since) arguments = "'', 49990, 10";
    db.execute(since ? "SET plan_cache_mode = force_custom_plan" : "SET plan_cache_mode = force_generic_plan");
    const auto plan = db.prepare("EXPLAIN EXECUTE " + name_of_it + "(" + arguments + ")");
    std::string whole;
    while (plan->step()) whole += plan->text() + "\n";
    BOOST_TEST(!has(whole, "Seq Scan on uploads"), text << "\n" << whole);
    BOOST_TEST(!has(whole, "Seq Scan on webhooks"), text << "\n" << whole);
  }
  BOOST_TEST(explained > 15u);
}

BOOST_AUTO_TEST_SUITE_END()
