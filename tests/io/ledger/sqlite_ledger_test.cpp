#include "support/ledger_multipart_contract.hpp"
#include "support/ledger_rates_contract.hpp"
#include "support/ledger_read_contract.hpp"
#include "support/ledger_verdict_contract.hpp"
#include "support/ledger_work_contract.hpp"
#include "support/temporary_folder.hpp"
#include "support/wait_until.hpp"
#include <postern/base/metrics.hpp>
#include <postern/io/ledger/make_ledger.hpp>
#include <postern/io/ledger/sqlite_ledger.hpp>
#include <postern/io/rows/checking_rows.hpp>
#include <postern/io/rows/completed_rows.hpp>
#include <postern/io/rows/upload_rows.hpp>
#include <postern/io/sql/schema.hpp>
#include <postern/io/sql/sqlite.hpp>

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstring>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

struct fixture {
  temporary_folder folder;
  std::string path = (folder.path() / "var" / "postern.db").string();
  std::unique_ptr<ledger> open(ledger_options o = {}) {
    o.url = "sqlite:" + path;
    return make_ledger(o);
  }
  std::unique_ptr<ledger> open_with(std::chrono::milliseconds timeout, group_commit_options commits = {}) {
    return make_sqlite_ledger({path, timeout, {commits, {}}}, {});
  }
};

double metric(const std::string& name) {
  const auto all = "\n" + metrics::print_all();
  const auto at = all.find("\n" + name + " ");
  BOOST_TEST_REQUIRE(at != all.npos, name);
  return std::stod(all.substr(at + name.size() + 2));
}

std::string thrown_by(const std::string& url) {
  try {
    make_ledger({.url = url});
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

bool has(const std::string& text, std::string_view piece) { return text.find(piece) != text.npos; }

} // namespace

BOOST_FIXTURE_TEST_SUITE(sqlite_ledger_, fixture)

BOOST_AUTO_TEST_CASE(fulfils_the_contract_in_a_file) {
  int n = 0;
  const auto make = [&](ledger_options o) {
    o.url = "sqlite:" + path + std::to_string(n++);
    return make_ledger(o);
  };
  check_ledger(make);
  check_ledger_reads(make);
  check_ledger_work(make);
  check_quotas(make);
  check_completed(make);
  check_verdicts(make);
  check_multiparts(make);
  check_rates(make, false);
}

BOOST_AUTO_TEST_CASE(fulfils_the_contract_in_memory) {
  const auto make = [](ledger_options o) {
    o.url = "sqlite::memory:";
    return make_ledger(o);
  };
  check_ledger(make);
  check_ledger_reads(make);
  check_ledger_work(make);
  check_quotas(make);
  check_completed(make);
  check_verdicts(make);
  check_multiparts(make);
  check_rates(make, false);
}

// One node has nobody to exchange its rates with.
BOOST_AUTO_TEST_CASE(an_exchange_of_rates_writes_nothing) {
  const auto l = open();
  BOOST_TEST(run_task(l->flush()).has_value());
  const auto transactions = metric("postern_ledger_commit_seconds_count");
  const std::vector<rate_count> some{{"u", 3}};
  for (int n = 0; n < 10; ++n) BOOST_TEST(run_task(l->exchange_rates("a", some, at_second(n))).value().empty());
  BOOST_TEST(metric("postern_ledger_commit_seconds_count") == transactions);
}

BOOST_AUTO_TEST_CASE(the_destructor_writes_the_queue) {
  {
    const auto l = open();
    for (unsigned n = 0; n < 10'000; ++n) l->issue(some_upload(n));
  }
  upload_filter f;
  f.limit = 20'000;
  BOOST_TEST(run_task(open()->list(f)).value().size() == 10'000u);
}

BOOST_AUTO_TEST_CASE(every_answered_completion_survives_a_kill) {
  std::size_t answered_in_all = 0;
  for (int round = 0; round < 20; ++round) {
    int ends[2];
    BOOST_TEST_REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      const auto l = open();
      for (unsigned n = 0;; ++n) {
        const auto u = some_upload(static_cast<unsigned>(round) * 3000 + n);
        l->issue(u);
        if (!run_task(l->confirm(some_completion(u)))) ::_exit(1);
        if (::write(ends[1], u.id.data(), u.id.size()) < 0) ::_exit(1);
      }
    }
    ::close(ends[1]);
    std::string answered(36, '\0'); // waits for the first, so that every round has one
    BOOST_TEST_REQUIRE(::read(ends[0], answered.data(), 36) == 36);
    ::usleep(static_cast<useconds_t>((round * 7919) % 30'000));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    std::array<char, 4096> piece;
    for (ssize_t n; (n = ::read(ends[0], piece.data(), piece.size())) > 0;)
      answered.append(piece.data(), static_cast<std::size_t>(n));
    ::close(ends[0]);
    BOOST_TEST_REQUIRE(answered.size() % 36 == 0u);
    answered_in_all += answered.size() / 36;

    const auto l = open();
    for (std::size_t at = 0; at < answered.size(); at += 36) {
      const auto found = run_task(l->find(answered.substr(at, 36)));
      BOOST_TEST((found && found->state == upload_state::completed), "round " << round << ", call " << at / 36);
    }
  }
  BOOST_TEST(answered_in_all > 20u);
}

BOOST_AUTO_TEST_CASE(another_process_can_read_meanwhile) {
  const auto serving = open();
  const auto u = some_upload(1);
  serving->issue(u);
  BOOST_TEST(run_task(serving->flush()).has_value());
  sqlite::database writer(path, 0ms);
  writer.execute("BEGIN IMMEDIATE"); // reads work during a transaction, too
  const auto looking = open();
  BOOST_TEST(run_task(looking->find(u.id)).has_value());
  BOOST_TEST(run_task(looking->list({})).value().size() == 1u);
  writer.execute("ROLLBACK");
  serving->issue(some_upload(2));
  BOOST_TEST(run_task(serving->find(some_upload(2).id)).has_value());
  BOOST_TEST(run_task(looking->list({})).value().size() == 2u);
}

// Another process holds the write lock, so the writer thread is blocked from here on.
BOOST_AUTO_TEST_CASE(reads_are_answered_while_the_writer_is_blocked) {
  const auto l = open_with(60s);
  const auto done = some_upload(1), pending = some_upload(2);
  BOOST_TEST(run_task(l->confirm(some_completion(done))).has_value());
  sqlite::database other(path, 0ms);
  other.execute("BEGIN IMMEDIATE");
  l->issue(pending);
  BOOST_TEST(wait_until([&] { return metric("postern_ledger_queue") == 0; })); // the writer has taken it
  for (unsigned n = 0; n < 500; ++n) {
    BOOST_TEST((run_task(l->find(some_upload(1000 + n).id)).error().code == errc::not_found));
    BOOST_TEST((run_task(l->find(done.id)).value().state == upload_state::completed));
  }
  BOOST_TEST(metric("postern_ledger_queue") == 0); // none of these reads was queued for the writer
  BOOST_TEST(run_task(l->find_all({done.id, pending.id})).value().size() == 1u);
  BOOST_TEST(run_task(l->list({})).value().size() == 1u);
  BOOST_TEST(run_task(l->list_webhooks({})).has_value());

  bool is_found = false; // Boost.Test is used by the main thread only
  std::thread reader([&] { is_found = run_task(l->find(pending.id)).has_value(); }); // behind the write
  BOOST_TEST(wait_until([&] { return metric("postern_ledger_queue") > 0; }));
  other.execute("ROLLBACK");
  reader.join();
  BOOST_TEST(is_found);
}

BOOST_AUTO_TEST_CASE(a_read_only_connection_rejects_writes) {
  open().reset();
  sqlite::database reading(path, 0ms, sql::access::read_only);
  reading.execute("SELECT * FROM uploads");
  BOOST_CHECK_EXCEPTION(reading.execute("DELETE FROM uploads"), transaction_error,
                        [](const auto& e) { return has(e.what(), "readonly"); });
  const auto missing = (folder.path() / "missing.db").string();
  BOOST_CHECK_THROW(sqlite::database(missing, 0ms, sql::access::read_only), transaction_error);
  BOOST_TEST(!std::filesystem::exists(missing));
}

// Another process holds the lock for longer than a transaction waits.
BOOST_AUTO_TEST_CASE(while_the_file_is_locked_awaited_calls_are_refused_at_once_and_others_wait) {
  const auto l = open_with(500ms);
  const auto dropped = metric("postern_ledger_dropped_total");
  sqlite::database other(path, 0ms);
  other.execute("BEGIN IMMEDIATE");
  l->issue(some_upload(2));
  const auto failed = run_task(l->confirm(some_completion(some_upload(1))));
  BOOST_TEST_REQUIRE(!failed.has_value());
  BOOST_TEST((failed.error().code == errc::unavailable));
  BOOST_TEST(has(failed.error().on, "locked"), failed.error().on);
  BOOST_TEST(metric("postern_ledger_up") == 0);
  const auto begin = std::chrono::steady_clock::now();
  const auto probed = run_task(l->flush());
  BOOST_TEST((!probed && probed.error().code == errc::unavailable));
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 100ms)); // the writer already knows that the file is locked
  l->issue(some_upload(3));
  std::this_thread::sleep_for(1s); // some more attempts fail
  other.execute("ROLLBACK");
  BOOST_TEST(wait_until([&] { return metric("postern_ledger_up") > 0; }));
  BOOST_TEST(run_task(l->find(some_upload(2).id)).has_value());
  BOOST_TEST(run_task(l->find(some_upload(3).id)).has_value());
  BOOST_TEST(!run_task(l->find(some_upload(1).id)).has_value()); // its transaction was rolled back
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped);
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
}

BOOST_AUTO_TEST_CASE(calls_that_cannot_be_written_at_the_end_are_lost_and_counted) {
  auto l = open_with(50ms);
  const auto dropped = metric("postern_ledger_dropped_total");
  sqlite::database other(path, 0ms);
  other.execute("BEGIN IMMEDIATE");
  for (unsigned n = 0; n < 7; ++n) l->issue(some_upload(n));
  l.reset();
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped + 7);
  BOOST_TEST(metric("postern_ledger_queue") == 0);
}

// The database rejects two of many calls in a transaction.
BOOST_AUTO_TEST_CASE(a_rejected_call_fails_alone) {
  const auto l = open_with(5s, {.linger = 300ms});
  const auto dropped = metric("postern_ledger_dropped_total");
  sqlite::database(path, 0ms).execute("CREATE TRIGGER t BEFORE INSERT ON uploads WHEN NEW.profile = 'poison' "
                                      "BEGIN SELECT RAISE(ABORT, 'not that one'); END");
  for (unsigned n = 0; n < 100; ++n) {
    auto u = some_upload(n);
    if (n == 17) u.profile = "poison";
    l->issue(u);
  }
  auto c = some_completion(some_upload(200));
  c.of.profile = "poison";
  const auto refused = run_task(l->confirm(c));
  BOOST_TEST((!refused && refused.error().code == errc::ledger_failed));
  BOOST_TEST(has(refused.error().on, "not that one"));
  BOOST_TEST(run_task(l->flush()).has_value());
  BOOST_TEST(run_task(l->list({})).value().size() == 99u);
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped + 1);
}

BOOST_AUTO_TEST_CASE(a_failing_statement_fails_its_call_alone) {
  const auto l = open();
  sqlite::database other(path, 1000ms);
  other.execute("ALTER TABLE uploads RENAME TO elsewhere");
  const auto failed = run_task(l->find("x"));
  BOOST_TEST_REQUIRE(!failed.has_value());
  BOOST_TEST((failed.error().code == errc::ledger_failed));
  other.execute("ALTER TABLE elsewhere RENAME TO uploads");
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
}

BOOST_AUTO_TEST_CASE(a_full_queue_drops_write_behind_calls_and_refuses_awaited_ones) {
  const auto l = open_with(2s, {.max_queue = 10});
  const auto dropped = metric("postern_ledger_dropped_total");
  sqlite::database other(path, 0ms);
  other.execute("BEGIN IMMEDIATE");
  l->issue(some_upload(0));
  BOOST_TEST(wait_until([&] { return metric("postern_ledger_queue") == 0; })); // the writer has taken it and is blocked
  for (unsigned n = 1; n < 100; ++n) l->issue(some_upload(n));
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped + 89);
  BOOST_TEST(metric("postern_ledger_queue") == 10);
  const auto refused = run_task(l->confirm(some_completion(some_upload(200))));
  BOOST_TEST((!refused && refused.error().code == errc::unavailable));
  other.execute("ROLLBACK");
  BOOST_TEST(wait_until([&] { return metric("postern_ledger_queue") == 0; }));
  BOOST_TEST(run_task(l->flush()).has_value());
  BOOST_TEST(run_task(l->list({})).value().size() == 11u);
}

BOOST_AUTO_TEST_CASE(a_newer_schema_is_refused) {
  open().reset();
  sqlite::database(path, 0ms).execute("PRAGMA user_version = 1000");
  const auto why = thrown_by("sqlite:" + path);
  BOOST_TEST(has(why, "newer version"), why);
  BOOST_TEST(has(why, path), why);
  BOOST_TEST(has(why, "ledger.url"), why);
}

BOOST_AUTO_TEST_CASE(an_unusable_file_is_named_with_the_remedy) {
  const auto text = (folder.path() / "text").string();
  std::ofstream(text) << std::string(10'000, 'x');
  const auto foreign = (folder.path() / "foreign").string(), versioned = (folder.path() / "versioned").string();
  sqlite::database(foreign, 0ms).execute("CREATE TABLE uploads (a)");
  sqlite::database(versioned, 0ms).execute("CREATE TABLE others (a); PRAGMA user_version = 1");
  struct row {
    std::string url, says;
  };
  const std::vector<row> rows{
      {"sqlite:" + text, "file is not a database. Name an SQLite database, or a file that does not exist yet."},
      {"sqlite:" + foreign, "of another program. Name another file."},
      {"sqlite:" + versioned, "Its tables are not those of a ledger; name another file."},
      {"sqlite:" + text + "/below.db", "Not a directory. Name a file in a folder that this user may write to."},
      {"sqlite:" + folder.path().string(), "unable to open"},
      {"sqlite:/proc/postern.db", "unable to open"},
      {"sqlite:", "sqlite:var/postern.db"},
      {"", "sqlite:var/postern.db"},
      {"mysql://x", "sqlite:var/postern.db"},
  };
  for (const auto& r : rows) {
    BOOST_TEST_CONTEXT(r.url) {
      const auto why = thrown_by(r.url);
      BOOST_TEST(has(why, r.says), why);
      BOOST_TEST(has(why, "ledger.url"), why);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_file_is_in_wal_mode_and_has_its_schema_version) {
  const auto l = open();
  sqlite::database other(path, 0ms);
  const auto mode = other.prepare("PRAGMA journal_mode");
  BOOST_TEST_REQUIRE(mode->step());
  BOOST_TEST(mode->text() == "wal");
  const auto version = other.prepare("PRAGMA user_version");
  BOOST_TEST_REQUIRE(version->step());
  BOOST_TEST(*version->integer() == 12);
}

// The file as version 1 created it.
BOOST_AUTO_TEST_CASE(a_file_of_the_first_version_is_migrated) {
  {
    std::filesystem::create_directories(folder.path() / "var");
    sqlite::database old(path, 0ms);
    old.execute(R"(
      CREATE TABLE uploads (
         id TEXT PRIMARY KEY, state TEXT NOT NULL, profile TEXT NOT NULL, user TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
         metadata TEXT NOT NULL, min_size INTEGER NOT NULL, max_size INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
         size INTEGER, etag TEXT NOT NULL DEFAULT '', crc32c INTEGER, completed_at INTEGER, completed_by TEXT NOT NULL DEFAULT '',
         overwritten_at INTEGER, failed_because TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
      CREATE INDEX uploads_by_state ON uploads (state, id);
      CREATE INDEX uploads_open ON uploads (expires_at) WHERE state IN ('issued', 'receiving');
      INSERT INTO uploads VALUES ('a', 'issued', 'p', 'u', 'b', 'k', '{"x":"y"}', 1, 9, 1000, 2000, NULL, '', NULL, NULL, '', NULL, '');
      INSERT INTO uploads VALUES ('b', 'completed', 'p', 'u', 'b', 'k', '{}', 1, 9, 1000, 2000, 5, 'e', 7, 1500, 'proxy', 1600, '');
      INSERT INTO uploads VALUES ('c', 'failed', 'p', 'u', 'b', 'k', '{}', 1, 9, 1000, 2001, NULL, '', NULL, NULL, '', NULL, 'timed_out');
      PRAGMA user_version = 1)");
  }
  const auto l = open();
  const auto a = run_task(l->find("a")).value();
  BOOST_TEST_REQUIRE(a.metadata.size() == 1u);
  BOOST_TEST((a.metadata[0] == std::pair<std::string, std::string>("x", "y")));
  const auto b = run_task(l->find("b")).value();
  BOOST_TEST((b.state == upload_state::completed && b.size == 5u && b.crc32c == 7u && b.etag == "e"));
  BOOST_TEST((b.overwritten_at == millis_clock{1600ms} && b.overwritten_etag.empty()));
  BOOST_TEST((b.completed_by == completion_source::fallback));
  // The migration schedules their checks ten minutes after their policies end.
  const auto due = [&](std::int64_t now) {
    return ids_of(
        run_task(l->lease_due_checks(millis_clock{std::chrono::milliseconds(now)}, millis_clock{}, 9, {})).value());
  };
  BOOST_TEST(due(601'999).empty());
  BOOST_TEST(due(602'001) == (names{"a", "c"}));
}

// Version 3 had no attempts and one order of delivery.
BOOST_AUTO_TEST_CASE(a_file_of_version_3_keeps_its_failures_and_messages) {
  {
    std::filesystem::create_directories(folder.path() / "var");
    sqlite::database old(path, 0ms);
    for (const auto* step : ledger_schema::sqlite.schema.first(3)) old.execute(step);
    old.execute(R"(
      INSERT INTO uploads (id, state, profile, user, bucket, key, metadata, min_size, max_size, created_at, expires_at)
        VALUES ('a', 'failed', 'p', 'u', 'b', 'k', '{}', 1, 9, 1000, 2000);
      INSERT INTO webhooks VALUES ('m1', 'a', 'https://a', 'upload.failed', 'p', 0, 1, 1, '');
      INSERT INTO webhooks VALUES ('m2', 'b', 'https://a', 'upload.completed', 'p', 0, 2, 2, '');
      PRAGMA user_version = 3)");
  }
  const auto l = make_sqlite_ledger({path}, telling({{"https://a", {"*"}}}));
  BOOST_TEST(lease_due_webhooks(*l, 0, 9) == (names{"m2", "m1"}));
  upload a;
  a.id = "a";
  l->start_receiving(a, "t1");
  BOOST_TEST((run_task(l->fail(a, "t1", "x", at_second(1))).value().state == upload_state::failed));
  BOOST_TEST(messages(*l).size() == 2u); // its failure was announced by version 3
}

// In a ledger of millions of rows, no statement may scan a table or sort.
BOOST_AUTO_TEST_CASE(every_statement_finds_its_rows_by_an_index) {
  sqlite::database db(":memory:", 0ms);
  db.migrate();
  webhook_rows webhooks(db, {{"https://a", {"*"}}});
  upload_rows uploads(db, webhooks, 1s);
  const auto u = some_upload(1);
  uploads.issue(u);
  uploads.start_receiving(u, "t1");
  uploads.record_progress({{u.id, 1}}, {});
  uploads.break_off(u.id, "t0");
  uploads.reserve_key(u, "k/${filename}", "t1");
  uploads.fail(u, "t1", "x", at_second(1));
  uploads.check_later(u, at_second(1));
  uploads.lease_due_checks(at_second(2), at_second(3), 10, {});
  uploads.expire(u.id, at_second(4));
  for (const char* etag : {"e1", "e2"}) uploads.confirm(some_completion(u, etag));
  for (const bool with_state : {false, true})
    for (const bool with_since : {false, true}) {
      upload_filter f;
      if (with_state) f.state = upload_state::issued;
      if (with_since) f.since = at_second(0);
      list_uploads(db, f);
      f.newest_first = true;
      list_uploads(db, f);
    }
  list_uploads(db, {.unclaimed = true});
  checking_rows checking(db, webhooks, 1s);
  auto stored = some_completion(some_upload(7));
  stored.needs_verdict = true;
  uploads.confirm(stored);
  checking.lease_due(at_second(9000), at_second(9001), 10);
  checking.postpone(stored.of.id, at_second(2), true);
  BOOST_TEST(checking.accept(stored.of.id, "", at_second(2)).has_value());
  BOOST_TEST(checking.check_again(stored.of.id, {5, "e5", {}, {}}, at_second(2)).has_value());
  BOOST_TEST(checking.finish_accepting(stored.of.id, "e", at_second(2), {}).has_value());
  BOOST_TEST(checking.reject(stored.of.id, "", "", at_second(2), false).has_value());
  completed_rows completed(db, webhooks, 1s);
  BOOST_TEST(completed.claim(u.id, "x", at_second(5)).has_value());
  completed.start_removing_unclaimed(at_second(5), at_second(6), 10, {});
  BOOST_TEST(completed.start_removing(u.id, at_second(6)).has_value());
  BOOST_TEST(completed.finish_removing(u.id, at_second(7)).has_value());
  webhooks.expire("https://a", at_second(1), "x");
  for (const auto& m : webhooks.due(at_second(9000), at_second(9001), {{"https://a", 10}})) {
    webhooks.record_failed_delivery(m.id, "x", std::nullopt);
    webhooks.retry({m.id}, at_second(1));
    webhooks.purge({m.id});
    webhooks.record_delivery(m.id);
  }
  for (const auto& of : {std::string(), u.id})
    for (const auto& dead : {std::optional<bool>(), std::optional(true), std::optional(false)})
      list_webhooks(db, {.is_dead = dead, .upload_id = of});
  oldest_webhook(db);
  webhooks.retry({}, at_second(1));
  webhooks.purge({});
  uploads.purge(at_second(9000), 10);
  find_upload(db, u.id);
  find_uploads(db, {u.id});

  std::size_t explained = 0;
  for (const auto& text : db.prepared_texts()) {
    if (text.starts_with("PRAGMA") || text.starts_with("BEGIN") || text == "COMMIT") continue;
    if (text == "DELETE FROM stopped_endpoints") continue;
    const auto plan = db.prepare("EXPLAIN QUERY PLAN " + text);
    while (plan->step()) {
      plan->integer(), plan->integer(), plan->integer();
      const auto step = plan->text();
      const bool in_order = has(step, "USING INDEX webhooks_dead") || // only dead letters are in it
                            has(step, "INDEX webhooks_waiting") ||    // for its first entry
                            has(step, "sqlite_autoindex_webhooks_1") || step == "SCAN CONSTANT ROW" ||
                            step == "SCAN json_each VIRTUAL TABLE INDEX 1:"; // the list of ids
      BOOST_TEST((!has(step, "SCAN") || in_order), text << ": " << step);
      BOOST_TEST(!has(step, "TEMP B-TREE"), text << ": " << step);
      ++explained;
    }
  }
  BOOST_TEST(explained > 25u);
}

BOOST_AUTO_TEST_SUITE_END()
