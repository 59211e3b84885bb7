#include "support/run_task.hpp"
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

// Remembers what was committed, transaction by transaction, and fails as it is told to.
struct fake_transactions final : transactions {
  std::vector<std::vector<std::string>> committed; // of the writer thread, until it has ended
  std::vector<std::string> open;
  std::atomic<bool> away{false};
  std::atomic<int> conflicts{0}, begun{0}, lost_answers{0};

  void begin(bool) override {
    ++begun;
    if (away) throw transaction_error(transaction_failure::unavailable, "nobody is there");
    open.clear();
  }
  void commit() override {
    if (conflicts > 0) {
      --conflicts;
      throw transaction_error(transaction_failure::conflict, "somebody was faster");
    }
    if (!open.empty()) committed.push_back(open);
    if (lost_answers > 0) {
      --lost_answers;
      throw transaction_error(transaction_failure::unavailable, "the answer got lost");
    }
  }
  void roll_back() noexcept override { open.clear(); }

  std::vector<std::string> all() const {
    std::vector<std::string> out;
    for (const auto& t : committed) out.insert(out.end(), t.begin(), t.end());
    return out;
  }
};

// Somebody holds a row.
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

BOOST_AUTO_TEST_CASE(one_transaction_for_what_has_queued_up_sorted_by_what_it_names) {
  start();
  behind("b", "b1"), behind("a", "a1"), behind("b", "b2");
  behind("", "all"); // between what is before and what is behind it
  behind("c", "c1"), behind("a", "a2");
  BOOST_TEST(ask("b", "b3").has_value());
  commits.reset();
  BOOST_TEST_REQUIRE(to.committed.size() == 1u);
  BOOST_TEST(to.committed[0] == (texts{"a1", "b1", "b2", "all", "a2", "b3", "c1"}));
}

BOOST_AUTO_TEST_CASE(a_conflict_is_tried_again_as_a_whole) {
  start();
  to.conflicts = 3;
  behind("a", "a"), behind("b", "b");
  BOOST_TEST(ask("c", "c").has_value());
  commits.reset();
  BOOST_TEST_REQUIRE(to.committed.size() == 1u);
  BOOST_TEST(to.committed[0] == (texts{"a", "b", "c"}));
}

BOOST_AUTO_TEST_CASE(conflicts_without_end_are_answered_and_nothing_that_is_written_behind_is_lost) {
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

BOOST_AUTO_TEST_CASE(a_row_that_somebody_holds_does_not_hold_up_the_others) {
  start({.linger = 50ms, .parked = 300ms});
  behind("b", "held"), behind("a", "a");
  BOOST_TEST(ask("c", "c").has_value());
  const int tries = locked.tries;
  for (const char* key : {"d", "e", "f"}) BOOST_TEST(ask(key, key).has_value());
  BOOST_TEST(locked.tries == tries); // it is not in their transactions any more
  const auto refused = ask("b", "held");
  BOOST_TEST((!refused && refused.error().code == errc::unavailable));
  const int refusals = locked.tries;
  locked.held = false;
  while (locked.tries == refusals) std::this_thread::sleep_for(10ms); // it comes by itself
  commits.reset();
  BOOST_TEST(to.all() == (texts{"a", "c", "d", "e", "f", "held"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_set_aside_later_does_not_put_off_what_was_before) {
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

BOOST_AUTO_TEST_CASE(a_full_queue_says_so) {
  start({.max_queue = 1});
  to.away = true;
  BOOST_TEST(!ask("a", "a").has_value());
  BOOST_TEST(commits->write_behind("b", note("b")));
  BOOST_TEST(!commits->write_behind("c", note("c")));
}

BOOST_AUTO_TEST_CASE(conflicts_without_end_do_not_keep_the_program_from_ending) {
  start();
  to.conflicts = 1'000'000;
  behind("a", "a");
  commits.reset();
  BOOST_TEST(to.committed.empty());
}

BOOST_AUTO_TEST_CASE(what_is_refused_for_its_own_sake_takes_nothing_with_it) {
  start();
  for (const char* key : {"a", "b", "c", "d", "e", "f", "g"}) behind(key, key == std::string("d") ? "poison" : key);
  const auto refused = ask("h", "poison too");
  BOOST_TEST((!refused && refused.error().code == errc::ledger_failed && refused.error().on == "not that one"));
  commits.reset();
  BOOST_TEST(to.all() == (texts{"a", "b", "c", "e", "f", "g"})); // and in its order
}

BOOST_AUTO_TEST_CASE(a_bug_in_a_call_is_its_own_fault) {
  start();
  behind("a", "a");
  const std::function<result<int>()> work = []() -> result<int> { throw std::logic_error("a bug"); };
  const auto failed = run_task(commits->run<int>("b", true, work));
  BOOST_TEST((!failed && failed.error().code == errc::ledger_failed));
  commits.reset();
  BOOST_TEST(to.all() == texts{"a"});
}

BOOST_AUTO_TEST_CASE(while_it_is_away_calls_are_refused_and_the_rest_waits_in_its_order) {
  start();
  to.away = true;
  behind("a", "a1"), behind("b", "b1");
  BOOST_TEST((ask("a", "never").error().code == errc::unavailable));
  const auto before = to.begun.load();
  behind("a", "a2");
  BOOST_TEST((ask("a", "never").error().code == errc::unavailable)); // by nobody who had to try
  while (to.begun < before + 3) std::this_thread::sleep_for(1ms);    // it is tried in the meantime
  to.away = false;
  while (!ask("c", "c")) std::this_thread::sleep_for(1ms);
  commits.reset();
  const auto all = to.all();
  BOOST_TEST(std::count(all.begin(), all.end(), "never") == 0);
  BOOST_TEST(all == (texts{"a1", "a2", "b1", "c"}));
}

BOOST_AUTO_TEST_CASE(those_in_the_queue_are_told_when_it_goes_away) {
  start({.max_batch = 1, .linger = 0ms, .first_pause = 10s});
  std::promise<void> inside, go;
  commits->write_behind("a", [&] {
    inside.set_value();
    go.get_future().wait();
    throw transaction_error(transaction_failure::unavailable, "gone in the middle");
  });
  inside.get_future().wait();
  std::vector<std::thread> waiting;
  std::atomic<int> told{0};
  for (int n = 0; n < 3; ++n)
    waiting.emplace_back([&] {
      const auto refused = ask("b", "never");
      if (!refused && refused.error().code == errc::unavailable) ++told;
    });
  std::this_thread::sleep_for(50ms);
  to.away = true; // at the end too
  go.set_value();
  for (auto& t : waiting) t.join();
  BOOST_TEST(told == 3);
  commits.reset();
  BOOST_TEST(to.committed.empty());
}

BOOST_AUTO_TEST_CASE(what_is_broken_is_told_as_such) {
  start();
  const std::function<result<int>()> work = []() -> result<int> {
    throw transaction_error(transaction_failure::broken, "full");
  };
  const auto failed = run_task(commits->run<int>("a", true, work));
  BOOST_TEST((!failed && failed.error().code == errc::ledger_failed && failed.error().on == "full"));
}

BOOST_AUTO_TEST_CASE(an_answer_that_got_lost_is_a_failure_for_who_waits_and_a_repetition_for_who_does_not) {
  start();
  to.lost_answers = 1;
  behind("a", "a");
  BOOST_TEST((ask("b", "b").error().code == errc::unavailable));
  while (!ask("c", "c")) std::this_thread::sleep_for(1ms);
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
  while (commits->has_pending("b") || commits->has_pending("c")) std::this_thread::sleep_for(1ms);
  behind("e", "held");
  while (locked.tries < 3) std::this_thread::sleep_for(1ms); // parked by now, or soon
  BOOST_TEST(commits->has_pending("e"));
  locked.held = false;
  while (commits->has_pending("e")) std::this_thread::sleep_for(1ms);
  behind("f", "poison");
  while (commits->has_pending("f")) std::this_thread::sleep_for(1ms);
  commits.reset();
  BOOST_TEST(to.all() == (texts{"b", "c", "held"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_full_queue_refuses) {
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
