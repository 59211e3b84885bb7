#include "support/ledger_contract.hpp"
#include "support/temporary_folder.hpp"
#include <postern/base/metrics.hpp>
#include <postern/io/sqlite.hpp>
#include <postern/io/sqlite_ledger.hpp>

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
  std::unique_ptr<ledger> open() { return make_ledger("sqlite:" + path); }
};

double metric(const std::string& name) {
  const auto all = "\n" + metrics::print_all();
  const auto at = all.find("\n" + name + " ");
  BOOST_TEST_REQUIRE(at != all.npos, name);
  return std::stod(all.substr(at + name.size() + 2));
}

std::string thrown_by(const std::string& url) {
  try {
    make_ledger(url);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "";
}

bool has(const std::string& text, std::string_view piece) { return text.find(piece) != text.npos; }

} // namespace

BOOST_FIXTURE_TEST_SUITE(sqlite_ledger_, fixture)

BOOST_AUTO_TEST_CASE(keeps_the_contract_in_a_file) {
  int n = 0;
  check_ledger([&] { return make_ledger("sqlite:" + path + std::to_string(n++)); });
}

BOOST_AUTO_TEST_CASE(keeps_the_contract_in_memory) {
  check_ledger([] { return make_ledger("sqlite::memory:"); });
}

BOOST_AUTO_TEST_CASE(what_was_called_is_written_before_it_is_gone) {
  {
    const auto l = open();
    for (unsigned n = 0; n < 10'000; ++n) l->issue(some_upload(n));
  }
  upload_filter f;
  f.limit = 20'000;
  BOOST_TEST(run_task(open()->list(f)).value().size() == 10'000u);
}

BOOST_AUTO_TEST_CASE(every_answered_completion_outlives_a_kill) {
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
    std::string answered(36, '\0'); // until the first is there, so that every round has one
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

BOOST_AUTO_TEST_CASE(another_process_may_look_on) {
  const auto serving = open();
  const auto u = some_upload(1);
  serving->issue(u);
  BOOST_TEST(run_task(serving->probe()).has_value());
  sqlite::database writer(path, 0ms);
  writer.execute("BEGIN IMMEDIATE"); // even while a transaction runs
  const auto looking = open();
  BOOST_TEST(run_task(looking->find(u.id)).has_value());
  BOOST_TEST(run_task(looking->list({})).value().size() == 1u);
  writer.execute("ROLLBACK");
  serving->issue(some_upload(2));
  BOOST_TEST(run_task(serving->find(some_upload(2).id)).has_value());
  BOOST_TEST(run_task(looking->list({})).value().size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_transaction_that_fails_is_answered_and_written_behind_ones_are_tried_again) {
  sqlite_ledger_options options{.path = path};
  options.patience = 500ms;
  const auto l = make_sqlite_ledger(options);
  const auto dropped = metric("postern_ledger_dropped_total");
  sqlite::database other(path, 0ms);
  other.execute("BEGIN IMMEDIATE");
  const auto failed = run_task(l->confirm(some_completion(some_upload(1))));
  BOOST_TEST_REQUIRE(!failed.has_value());
  BOOST_TEST((failed.error().code == errc::ledger_failed));
  BOOST_TEST(has(failed.error().on, "locked"), failed.error().on);
  const auto probed = run_task(l->probe());
  BOOST_TEST((!probed && probed.error().code == errc::ledger_failed));

  l->issue(some_upload(2)); // fails once, at least; the second try has as long again
  std::this_thread::sleep_for(750ms);
  other.execute("ROLLBACK");
  BOOST_TEST(run_task(l->find(some_upload(2).id)).has_value());
  BOOST_TEST(!run_task(l->find(some_upload(1).id)).has_value()); // nothing of it was written
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped);

  other.execute("BEGIN IMMEDIATE");
  l->issue(some_upload(3));
  while (metric("postern_ledger_dropped_total") == dropped) std::this_thread::sleep_for(20ms);
  other.execute("ROLLBACK");
  BOOST_TEST(!run_task(l->find(some_upload(3).id)).has_value());
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped + 1);
  BOOST_TEST(run_task(l->probe()).has_value()); // and it works again
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
}

BOOST_AUTO_TEST_CASE(a_broken_statement_fails_its_call_and_the_ledger_lives) {
  const auto l = open();
  sqlite::database other(path, 1000ms);
  other.execute("ALTER TABLE uploads RENAME TO elsewhere");
  const auto failed = run_task(l->find("x"));
  BOOST_TEST_REQUIRE(!failed.has_value());
  BOOST_TEST((failed.error().code == errc::ledger_failed));
  other.execute("ALTER TABLE elsewhere RENAME TO uploads");
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(1)))).has_value());
}

BOOST_AUTO_TEST_CASE(a_full_queue_drops_what_is_written_behind_and_refuses_the_rest) {
  sqlite_ledger_options options{.path = path};
  options.queue = 10;
  options.patience = 2s;
  const auto l = make_sqlite_ledger(options);
  const auto dropped = metric("postern_ledger_dropped_total");
  sqlite::database other(path, 0ms);
  other.execute("BEGIN IMMEDIATE");
  l->issue(some_upload(0));
  std::this_thread::sleep_for(50ms); // the writer waits with it now
  for (unsigned n = 1; n < 100; ++n) l->issue(some_upload(n));
  BOOST_TEST(metric("postern_ledger_dropped_total") == dropped + 89);
  BOOST_TEST(metric("postern_ledger_queue") == 10);
  const auto refused = run_task(l->confirm(some_completion(some_upload(200))));
  BOOST_TEST((!refused && refused.error().code == errc::unavailable));
  other.execute("ROLLBACK");
  while (metric("postern_ledger_queue") > 0) std::this_thread::sleep_for(5ms);
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

BOOST_AUTO_TEST_CASE(what_cannot_be_used_is_named_with_the_remedy) {
  const auto text = (folder.path() / "text").string();
  std::ofstream(text) << std::string(10'000, 'x');
  struct row {
    std::string url, says;
  };
  const std::vector<row> rows{
      {"sqlite:" + text, "not a database"},
      {"sqlite:" + text + "/below.db", "Not a directory"},
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
      if (r.url.size() > 12) BOOST_TEST((has(why, "Name a file in a folder") || r.url.starts_with("mysql")), why);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_file_is_in_wal_mode_and_carries_its_version) {
  const auto l = open();
  sqlite::database other(path, 0ms);
  auto mode = other.prepare("PRAGMA journal_mode");
  BOOST_TEST_REQUIRE(mode.step());
  BOOST_TEST(mode.text() == "wal");
  auto version = other.prepare("PRAGMA user_version");
  BOOST_TEST_REQUIRE(version.step());
  BOOST_TEST(*version.integer() >= 1);
}

BOOST_AUTO_TEST_SUITE_END()
