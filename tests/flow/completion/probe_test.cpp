#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/flow/completion/probe.hpp>

#include <boost/test/unit_test.hpp>

#include <map>
#include <string>

using namespace postern;
using namespace std::chrono_literals;

namespace {

struct fixture {
  millis_clock now{1'000'000'000s};
  test::fake_store store;
  test::fake_ledger ledger;
  const signer own{{secret("a secret for the tests only")}};
  const std::map<std::string, profile> profiles;
  const recorder recording{ledger, store, profiles};
  completer completions{own, store, ledger, recording};
  prober_options options;

  fixture() {
    options.clock = [this] { return now; };
  }
  std::string add(int n, std::chrono::seconds age, const std::string& bucket = "media") {
    upload u;
    u.id = "01a20a86-41d4-7ac8-8ecb-0000000000" + std::to_string(10 + n);
    u.bucket = bucket;
    u.key = "uploads/" + u.id + "/a b";
    u.max_size = 100;
    u.created_at = now - age;
    u.expires_at = u.created_at + 15min;
    ledger.issue(u);
    ledger.checks[u.id] = now;
    return u.id;
  }
  void add_object(const std::string& id) {
    stored_object o;
    o.size = 50;
    o.etag = "abc";
    o.meta.user.emplace_back("postern-id", id);
    store.objects["media/uploads/" + id + "/a b"] = o;
  }
  void probe() {
    prober p(options, completions, ledger);
    test::run_task(p.run_round());
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(an_object_that_nobody_reports_completes_its_upload, fixture) {
  const auto id = add(1, 5s);
  add_object(id);
  probe();
  BOOST_TEST((ledger.rows.at(id).state == upload_state::completed));
  BOOST_TEST(ledger.confirmed == 1);
}

BOOST_FIXTURE_TEST_CASE(without_an_object_the_next_probe_comes_later_and_later, fixture) {
  upload u;
  u.created_at = now;
  u.expires_at = now + 1h;
  const auto next = [&](std::chrono::seconds age) {
    return std::chrono::duration_cast<std::chrono::seconds>(next_probe(u, 10min, now + age) - now);
  };
  BOOST_TEST(next(0s).count() == 5);
  BOOST_TEST(next(5s).count() == 15);
  BOOST_TEST(next(14s).count() == 15);
  BOOST_TEST(next(16s).count() == 60);
  BOOST_TEST(next(61s).count() == 300);
  BOOST_TEST(next(300s).count() == 900);
  BOOST_TEST(next(905s).count() == 1805);
  BOOST_TEST(next(1805s).count() == 2705);
  BOOST_TEST(next(2705s).count() == 3600 + 600); // its form has ended by then: the sweep asks
  const auto id = add(1, 6s);
  probe();
  BOOST_TEST((ledger.rows.at(id).state == upload_state::issued));
  BOOST_TEST((ledger.checks.at(id) == ledger.rows.at(id).created_at + 15s));
}

BOOST_FIXTURE_TEST_CASE(a_round_asks_so_many_times_at_most, fixture) {
  options.max_at_once = 3;
  for (int n = 0; n < 10; ++n) add(n, 5s);
  probe();
  BOOST_TEST(store.heads == 3);
  probe();
  BOOST_TEST(store.heads == 6);
}

BOOST_FIXTURE_TEST_CASE(an_upload_whose_form_has_ended_is_left_to_the_sweep, fixture) {
  add(1, 16min);
  probe();
  BOOST_TEST(store.heads == 0);
}

BOOST_FIXTURE_TEST_CASE(a_store_that_gives_no_answer_is_asked_again_soon_and_holds_up_no_other, fixture) {
  store.silent_buckets = {"away"};
  const auto lost = add(1, 5s, "away"), found = add(2, 5s);
  add_object(found);
  probe();
  BOOST_TEST((ledger.rows.at(found).state == upload_state::completed));
  BOOST_TEST((ledger.checks.at(lost) == now + 10s));
}

BOOST_FIXTURE_TEST_CASE(a_ledger_that_gives_no_answer_is_asked_again_in_the_next_round, fixture) {
  add_object(add(1, 5s));
  ledger.broken = failure(errc::unavailable, "the ledger");
  probe();
  BOOST_TEST(store.heads == 0);
  ledger.broken.reset();
  probe();
  BOOST_TEST(ledger.confirmed == 1);
}
