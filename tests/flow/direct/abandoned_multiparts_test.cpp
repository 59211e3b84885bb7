#include "support/fake_parts.hpp"
#include "support/run_task.hpp"
#include <postern/flow/direct/abandoned_multiparts.hpp>
#include <postern/flow/direct/ledger_journal.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

struct fixture {
  millis_clock now{1'000'000'000s};
  test::fake_store store;
  test::fake_parts parts{store};
  test::fake_ledger ledger;

  fixture() { store.parts = &parts; }
  void add(const std::string& id, const std::string& store_id, std::chrono::seconds due_in, const std::string& key) {
    open_multipart m;
    m.id = id;
    m.name = {"media", key};
    m.store_id = store_id;
    m.due_at = now + due_in;
    ledger.multiparts[id] = m;
  }
  void run_round() {
    abandoned_multiparts a(store, ledger, [this] { return now; });
    test::run_task(a.run_round());
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(what_is_due_is_aborted_and_the_rest_stays, fixture) {
  add("a", "one", -1s, "a");
  add("b", "two", 1s, "b");
  parts.uploads["one"] = {{"media", "a"}, {}, false, {}};
  parts.uploads["two"] = {{"media", "b"}, {}, false, {}};
  run_round();
  BOOST_TEST((parts.uploads.size() == 1 && parts.uploads.contains("two")));
  BOOST_TEST((ledger.multiparts.size() == 1 && ledger.multiparts.contains("b")));
}

BOOST_FIXTURE_TEST_CASE(an_upload_without_a_recorded_name_is_found_by_its_key, fixture) {
  add("a", "", -1s, "a");
  add("b", "known", 60s, "a"); // another try of the same form, which goes on
  for (const auto* id : {"lost", "known"}) parts.uploads[id] = {{"media", "a"}, {}, false, {}};
  run_round();
  BOOST_TEST((parts.uploads.size() == 1 && parts.uploads.contains("known")));
  BOOST_TEST(!ledger.multiparts.contains("a"));
}

// Two nodes died, each before it could record the name: neither waits for the other.
BOOST_FIXTURE_TEST_CASE(only_what_was_begun_a_moment_ago_is_waited_for, fixture) {
  add("a", "", -1s, "a");
  add("b", "", 600s, "a");
  parts.uploads["lost"] = {{"media", "a"}, {}, false, {}};
  ledger.multiparts.at("b").created_at = now - 1min;
  run_round();
  BOOST_TEST((parts.uploads.contains("lost") && ledger.multiparts.at("a").due_at == now + 30s));
  now += 1min;
  run_round();
  BOOST_TEST((parts.uploads.empty() && !ledger.multiparts.contains("a")));
}

BOOST_FIXTURE_TEST_CASE(a_client_that_came_back_meanwhile_keeps_its_parts, fixture) {
  add("a", "one", -1s, "a");
  add("b", "two", -1s, "b");
  for (const auto& [id, key] : {std::pair("one", "a"), std::pair("two", "b")})
    parts.uploads[id] = {{"media", key}, {}, false, {}};
  parts.before_abort_ends = [this] { ledger.multiparts.at("b").due_at = now + 24h; };
  run_round();
  BOOST_TEST((parts.uploads.size() == 1 && parts.uploads.contains("two")));
  BOOST_TEST((ledger.multiparts.size() == 1 && ledger.multiparts.contains("b")));
}

BOOST_FIXTURE_TEST_CASE(a_store_without_an_answer_is_asked_again_later, fixture) {
  add("a", "one", -1s, "a");
  add("b", "two", -1s, "b");
  parts.broken = failure(errc::unavailable, "no answer");
  run_round();
  BOOST_TEST(ledger.multiparts.size() == 2);
  parts.broken.reset();
  now += 3min; // the lease has ended
  run_round();
  BOOST_TEST(ledger.multiparts.empty());
}

BOOST_FIXTURE_TEST_CASE(the_journal_extends_what_goes_on_and_forgets_what_ended, fixture) {
  ledger_journal journal(ledger, 10s, [this] { return now; });
  const auto one = test::run_task(journal.begin({"media", "a"}, 7)),
             two = test::run_task(journal.begin({"media", "b"}, 8)),
             three = test::run_task(journal.begin({"media", "c"}, 9));
  test::run_task(journal.name(one, "one"));
  BOOST_TEST((ledger.multiparts.at(one).store_id == "one" && ledger.multiparts.at(one).bytes == 7));
  journal.end(two);
  journal.abandon(three);
  now += 8s;
  journal.extend();
  BOOST_TEST((ledger.multiparts.at(one).due_at == now + 10s && !ledger.multiparts.contains(two)));
  BOOST_TEST((ledger.multiparts.at(three).due_at == now + 2s));
}

BOOST_FIXTURE_TEST_CASE(without_the_ledger_an_upload_goes_on, fixture) {
  ledger_journal journal(ledger, 10s, [this] { return now; });
  ledger.broken = failure(errc::unavailable, "away");
  BOOST_TEST(!test::run_task(journal.begin({"media", "a"}, 7)).empty());
}
