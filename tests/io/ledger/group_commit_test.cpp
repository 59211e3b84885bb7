#include "support/captured_log.hpp"
#include "support/run_task.hpp"
#include "support/wait_until.hpp"
#include <postern/io/ledger/group_commit.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

// Records each committed transaction, and fails when the test says so.
struct fake_transactions final : transactions {
  std::vector<std::vector<std::string>> committed; // by the writer thread; read it after the destructor
  std::vector<std::string> open;
  std::atomic<bool> away{false};
  std::atomic<const char*> why_away{"the server is away"};
  std::atomic<int> conflicts{0}, begun{0}, lost_answers{0};

  void begin(bool) override {
    ++begun;
    if (away) throw transaction_error(transaction_failure::unavailable, why_away.load());
    open.clear();
  }
  void commit() override {
    if (conflicts > 0) {
      --conflicts;
      throw transaction_error(transaction_failure::conflict, "another writer was faster");
    }
    if (!open.empty()) committed.push_back(open);
    if (lost_answers > 0) {
      --lost_answers;
      throw transaction_error(transaction_failure::unavailable, "the reply was lost");
    }
  }
  void roll_back() noexcept override { open.clear(); }

  std::vector<std::string> all() const {
    std::vector<std::string> out;
    for (const auto& t : committed) out.insert(out.end(), t.begin(), t.end());
    return out;
  }
};

// A row that another writer has locked.
struct held_row {
  std::atomic<bool> held{true};
  std::atomic<int> tries{0};
};

struct fixture {
  held_row locked;
  fake_transactions to;
  std::optional<group_commit> commits;
  void start(group_commit_options o = {.linger = 50ms, .first_pause = 10ms, .max_pause = 20ms}) {
    commits.emplace(to, o);
  }
  std::function<void()> note(std::string what) {
    return [this, what = std::move(what)] {
      if (what.find("poison") != what.npos) throw transaction_error(transaction_failure::rejected, "not that one");
      if (what == "held for ever") throw transaction_error(transaction_failure::conflict, "a lock");
      if (what == "held" && ++locked.tries && locked.held)
        throw transaction_error(transaction_failure::conflict, "a lock");
      to.open.push_back(what);
    };
  }
  void behind(const std::string& key, const std::string& what) { commits->write_behind(key, note(what)); }
  result<int> ask(const std::string& key, const std::string& what) {
    const std::function<result<int>()> work = [this, what] {
      note(what)();
      return result<int>(1);
    };
    return run_task(commits->run<int>(key, true, work));
  }
};

using texts = std::vector<std::string>;

} // namespace

BOOST_FIXTURE_TEST_SUITE(group_commit_, fixture)

BOOST_AUTO_TEST_CASE(queued_calls_run_in_one_transaction_sorted_by_key) {
  start();
  behind("b", "b1"), behind("a", "a1"), behind("b", "b2");
  behind("", "all"); // without a key: all earlier calls run before, all later ones after
  behind("c", "c1"), behind("a", "a2");
  BOOST_TEST(ask("b", "b3").has_value());
  commits.reset();
  BOOST_TEST_REQUIRE(to.committed.size() == 1u);
  BOOST_TEST(to.committed[0] == (texts{"a1", "b1", "b2", "all", "a2", "b3", "c1"}));
}

BOOST_AUTO_TEST_CASE(after_a_conflict_the_whole_transaction_is_retried) {
  start();
  to.conflicts = 3;
  behind("a", "a"), behind("b", "b");
  BOOST_TEST(ask("c", "c").has_value());
  commits.reset();
  BOOST_TEST_REQUIRE(to.committed.size() == 1u);
  BOOST_TEST(to.committed[0] == (texts{"a", "b", "c"}));
}

BOOST_AUTO_TEST_CASE(endless_conflicts_refuse_awaited_calls_and_lose_no_write_behind_call) {
  start({.linger = 50ms, .first_pause = 10ms});
  to.conflicts = 1000;
  behind("a", "a"), behind("b", "b");
  const auto refused = ask("c", "c");
  BOOST_TEST((!refused && refused.error().code == errc::unavailable));
  to.conflicts = 0;
  commits.reset();
  auto all = to.all();
  std::sort(all.begin(), all.end());
  BOOST_TEST(all == (texts{"a", "b"}));
}

BOOST_AUTO_TEST_CASE(a_locked_row_does_not_delay_calls_of_other_rows) {
  start({.linger = 50ms, .parked = 300ms});
  behind("b", "held"), behind("a", "a");
  BOOST_TEST(ask("c", "c").has_value());
  const int tries = locked.tries;
  for (const char* key : {"d", "e", "f"}) BOOST_TEST(ask(key, key).has_value());
  BOOST_TEST(locked.tries == tries); // it was parked, so their transactions do not contain it
  const auto refused = ask("b", "held");
  BOOST_TEST((!refused && refused.error().code == errc::unavailable));
  const int refusals = locked.tries;
  locked.held = false;
  BOOST_TEST(wait_until([&] { return locked.tries != refusals; })); // it is retried without another call
  commits.reset();
  BOOST_TEST(to.all() == (texts{"a", "c", "d", "e", "f", "held"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(calls_that_are_parked_later_do_not_starve_earlier_ones) {
  start({.linger = 1ms, .parked = 600ms});
  behind("a", "held");
  BOOST_TEST(ask("b", "b").has_value());
  const int tries = locked.tries;
  const auto begin = std::chrono::steady_clock::now();
  while (locked.tries == tries && std::chrono::steady_clock::now() - begin < 3s) {
    behind("c", "held for ever");
    BOOST_TEST(ask("d", "d").has_value());
  }
  BOOST_TEST(locked.tries > tries);
}

// Each attempt takes as long as a wait for a lock. Without an end, 64 calls would be tried more than a hundred times.
BOOST_AUTO_TEST_CASE(when_all_rows_are_locked_awaited_calls_are_refused_and_the_others_wait) {
  start({.linger = 1ms, .first_pause = 1ms, .max_conflict_time = 100ms});
  to.away = true; // so that the calls are one batch
  BOOST_TEST(!ask("first", "first").has_value());
  for (int i = 0; i < 64; ++i)
    commits->write_behind(std::to_string(i), [this] {
      std::this_thread::sleep_for(20ms);
      note("held")();
    });
  to.away = false;
  BOOST_TEST(wait_until([&] { return locked.tries > 0; }));
  const auto refused = ask("last", "held");
  BOOST_TEST((!refused && refused.error().code == errc::unavailable && refused.error().on == "a lock"));
  BOOST_TEST(locked.tries < 40);
  locked.held = false;
  commits.reset();
  BOOST_TEST(to.all().size() == 64u);
}

BOOST_AUTO_TEST_CASE(write_behind_returns_false_when_the_queue_is_full) {
  start({.max_queue = 1});
  to.away = true;
  BOOST_TEST(!ask("a", "a").has_value());
  BOOST_TEST(commits->write_behind("b", note("b")));
  BOOST_TEST(!commits->write_behind("c", note("c")));
}

BOOST_AUTO_TEST_CASE(endless_conflicts_do_not_block_the_destructor) {
  start();
  to.conflicts = 1'000'000;
  behind("a", "a");
  commits.reset();
  BOOST_TEST(to.committed.empty());
}

BOOST_AUTO_TEST_CASE(a_rejected_call_fails_alone) {
  start();
  for (const char* key : {"a", "b", "c", "d", "e", "f", "g"}) behind(key, key == std::string("d") ? "poison" : key);
  const auto refused = ask("h", "poison too");
  BOOST_TEST((!refused && refused.error().code == errc::ledger_failed && refused.error().on == "not that one"));
  commits.reset();
  BOOST_TEST(to.all() == (texts{"a", "b", "c", "e", "f", "g"})); // in order
}

BOOST_AUTO_TEST_CASE(an_exception_in_a_work_function_fails_its_call_alone) {
  start();
  behind("a", "a");
  const std::function<result<int>()> work = []() -> result<int> { throw std::logic_error("a bug"); };
  const auto failed = run_task(commits->run<int>("b", true, work));
  BOOST_TEST((!failed && failed.error().code == errc::ledger_failed));
  commits.reset();
  BOOST_TEST(to.all() == texts{"a"});
}

BOOST_AUTO_TEST_CASE(while_the_database_is_unavailable_awaited_calls_are_refused_and_others_wait_in_order) {
  start();
  to.away = true;
  behind("a", "a1"), behind("b", "b1");
  BOOST_TEST((ask("a", "never").error().code == errc::unavailable));
  const auto before = to.begun.load();
  behind("a", "a2");
  BOOST_TEST((ask("a", "never").error().code == errc::unavailable)); // without an attempt to reach the database
  BOOST_TEST(wait_until([&] { return to.begun >= before + 3; }));    // the writer tries to reconnect
  to.away = false;
  BOOST_TEST(wait_until([&] { return ask("c", "c").has_value(); }));
  commits.reset();
  const auto all = to.all();
  BOOST_TEST(std::count(all.begin(), all.end(), "never") == 0);
  BOOST_TEST(all == (texts{"a1", "a2", "b1", "c"}));
}

BOOST_AUTO_TEST_CASE(queued_awaited_calls_are_refused_when_the_database_becomes_unavailable) {
  start({.max_batch = 1, .linger = 0ms, .first_pause = 10s});
  std::promise<void> inside, go;
  commits->write_behind("a", [&] {
    inside.set_value();
    go.get_future().wait();
    throw transaction_error(transaction_failure::unavailable, "lost during the transaction");
  });
  inside.get_future().wait();
  std::vector<std::thread> waiting;
  std::atomic<int> refused_calls{0};
  for (int n = 0; n < 3; ++n)
    waiting.emplace_back([&] {
      const auto refused = ask("b", "never");
      if (!refused && refused.error().code == errc::unavailable) ++refused_calls;
    });
  std::this_thread::sleep_for(50ms);
  to.away = true; // in the destructor, too
  go.set_value();
  for (auto& t : waiting) t.join();
  BOOST_TEST(refused_calls == 3);
  commits.reset();
  BOOST_TEST(to.committed.empty());
}

// As on a full disk: an empty transaction succeeds.
BOOST_AUTO_TEST_CASE(
    a_database_that_only_refuses_to_write_is_not_tried_without_pause_and_does_not_block_the_destructor) {
  captured_log log;
  start({.linger = 1ms, .first_pause = 20ms, .max_pause = 10s});
  std::atomic<int> tries{0};
  commits->write_behind("a", [&] {
    ++tries;
    throw transaction_error(transaction_failure::broken, "full");
  });
  BOOST_TEST(wait_until([&] { return tries >= 4; })); // after 20, 60 and 140 ms; then after 300 ms
  BOOST_TEST(to.begun <= 2 * tries + 2);
  BOOST_TEST(log.text().find("written again") == std::string::npos);
  commits.reset();
  BOOST_TEST(tries <= 7);
  BOOST_TEST(to.committed.empty());
}

BOOST_AUTO_TEST_CASE(a_broken_database_is_ledger_failed) {
  start();
  const std::function<result<int>()> work = []() -> result<int> {
    throw transaction_error(transaction_failure::broken, "full");
  };
  const auto failed = run_task(commits->run<int>("a", true, work));
  BOOST_TEST((!failed && failed.error().code == errc::ledger_failed && failed.error().on == "full"));
}

BOOST_AUTO_TEST_CASE(a_lost_reply_of_a_commit_fails_awaited_calls_and_repeats_write_behind_calls) {
  start();
  to.lost_answers = 1;
  behind("a", "a");
  BOOST_TEST((ask("b", "b").error().code == errc::unavailable));
  BOOST_TEST(wait_until([&] { return ask("c", "c").has_value(); }));
  commits.reset();
  BOOST_TEST(to.all() == (texts{"a", "b", "a", "c"}));
}

BOOST_AUTO_TEST_CASE(a_key_is_pending_from_the_call_until_the_commit) {
  start({.max_batch = 1, .linger = 0ms});
  std::promise<void> inside, go;
  commits->write_behind("a", [&] {
    inside.set_value();
    go.get_future().wait();
  });
  inside.get_future().wait(); // "a" is in the running transaction
  behind("b", "b1"), behind("b", "b2"), behind("", "all");
  BOOST_TEST((commits->has_pending("a") && commits->has_pending("b")));
  BOOST_TEST((!commits->has_pending("c") && !commits->has_pending("")));
  go.set_value();
  BOOST_TEST(ask("c", "c").has_value());
  for (const char* key : {"a", "b", "c"}) BOOST_TEST(!commits->has_pending(key), key);

  // A read of a pending key does not keep the key pending.
  const std::function<result<bool>()> read = [this] { return result<bool>(commits->has_pending("d")); };
  BOOST_TEST(!run_task(commits->run<bool>("d", false, read)).value());
}

BOOST_AUTO_TEST_CASE(a_key_is_pending_while_its_write_waits_and_not_after_it_is_lost) {
  start({.max_queue = 2, .linger = 1ms, .first_pause = 10ms, .max_pause = 20ms, .parked = 200ms});
  to.away = true;
  BOOST_TEST(!ask("a", "a").has_value());
  BOOST_TEST(!commits->has_pending("a")); // it was refused
  behind("b", "b");
  behind("c", "c");
  behind("d", "d"); // the queue is full
  BOOST_TEST((commits->has_pending("b") && commits->has_pending("c") && !commits->has_pending("d")));
  to.away = false;
  BOOST_TEST(wait_until([&] { return !commits->has_pending("b") && !commits->has_pending("c"); }));
  behind("e", "held");
  BOOST_TEST(wait_until([&] { return locked.tries >= 3; })); // parked by now, or soon
  BOOST_TEST(commits->has_pending("e"));
  locked.held = false;
  BOOST_TEST(wait_until([&] { return !commits->has_pending("e"); }));
  behind("f", "poison");
  BOOST_TEST(wait_until([&] { return !commits->has_pending("f"); }));
  commits.reset();
  BOOST_TEST(to.all() == (texts{"b", "c", "held"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_database_that_is_away_at_the_start_is_waited_for) {
  captured_log log;
  to.away = true;
  const failure why{errc::unavailable, "the server is away"};
  commits.emplace(to, group_commit_options{.linger = 1ms, .first_pause = 10ms, .max_pause = 20ms}, why);
  const auto refused = ask("a", "a");
  BOOST_TEST((!refused && refused.error().code == errc::unavailable && refused.error().on == "the server is away"));
  behind("b", "b");
  const auto times = [&](const std::string& words) {
    const auto text = log.text();
    std::size_t n = 0;
    for (auto at = text.find(words); at != text.npos; at = text.find(words, at + 1)) ++n;
    return n;
  };
  const auto tries = to.begun.load();
  BOOST_TEST(wait_until([&] { return to.begun >= tries + 5; }));
  to.why_away = "no such database";
  BOOST_TEST(wait_until([&] { return times("why=\"no such database\"") == 1; }));
  BOOST_TEST(wait_until([&] { return to.begun >= tries + 15; }));
  BOOST_TEST(times("ledger cannot be written") == 2u); // the same reason is not repeated within ten seconds
  to.away = false;
  BOOST_TEST(wait_until([&] { return ask("c", "c").has_value(); }));
  BOOST_TEST(times("ledger can be written again") == 1u);
  commits.reset();
  BOOST_TEST(to.all() == (texts{"b", "c"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_full_queue_refuses_awaited_calls) {
  start({.max_queue = 3, .max_batch = 1, .linger = 0ms});
  std::promise<void> inside, go;
  commits->write_behind("a", [&] {
    inside.set_value();
    go.get_future().wait();
  });
  inside.get_future().wait();
  for (int n = 0; n < 5; ++n) behind("b", std::to_string(n));
  BOOST_TEST((ask("c", "c").error().code == errc::unavailable));
  go.set_value();
  commits.reset();
  BOOST_TEST(to.all() == (texts{"0", "1", "2"}));
}

BOOST_AUTO_TEST_SUITE_END()
