#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/flow/completion/sweep.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

const signer own({secret("a secret for the tests only")});

struct fixture {
  test::fake_store store;
  test::fake_ledger ledger;
  std::map<std::string, profile> profiles;
  const recorder recording{ledger, store, profiles};
  completer completions{own, store, ledger, recording};
  millis_clock now{std::chrono::milliseconds(1'795'457'700'123)};
  sweeper_options options;

  fixture() {
    options.clock = [this] { return now; };
  }

  // An upload whose check is due now; its policy has expired unless `expires_in` says otherwise.
  std::string add(int n, std::chrono::milliseconds expires_in = -1min) {
    upload u;
    u.id = "01a20a86-41d4-7ac8-8ecb-0000000000" + std::to_string(10 + n);
    u.bucket = "media";
    u.key = "uploads/" + u.id + "/a b";
    u.max_size = 100;
    u.expires_at = now + expires_in;
    ledger.issue(u);
    ledger.checks[u.id] = now;
    return u.id;
  }
  void add_object(const std::string& id, std::uint64_t size = 50) {
    stored_object o;
    o.size = size;
    o.etag = "abc";
    o.meta.user.emplace_back("postern-id", id);
    store.objects["media/uploads/" + id + "/a b"] = o;
  }
  upload_state state_of(const std::string& id) { return ledger.rows.at(id).state; }
  void sweep() {
    const remover removals({}, store, ledger);
    sweeper s(options, completions, removals, ledger);
    test::run_task(s.run_round());
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(an_object_that_exists_completes_its_upload, fixture) {
  const auto id = add(1);
  add_object(id);
  sweep();
  BOOST_TEST((state_of(id) == upload_state::completed));
  BOOST_TEST((ledger.last.by == completion_source::sweep));
}

BOOST_FIXTURE_TEST_CASE(without_an_object_an_upload_expires_after_its_policy, fixture) {
  const auto id = add(1), wrong = add(2);
  add_object(wrong, 101); // larger than the policy allowed
  sweep();
  BOOST_TEST((state_of(id) == upload_state::expired));
  BOOST_TEST((state_of(wrong) == upload_state::expired));
  BOOST_TEST(ledger.checks.empty());
}

// The browser posted the form of the form page straight to the store and died.
BOOST_FIXTURE_TEST_CASE(an_upload_without_a_file_name_is_found_by_its_prefix, fixture) {
  const auto id = add(1), none = add(2), foreign = add(3), shared = add(4);
  for (const auto& of : {id, none, foreign}) ledger.rows.at(of).key = "uploads/" + of + "/${filename}";
  ledger.rows.at(shared).key = "uploads/${filename}";
  add_object(id);
  store.objects["media/uploads/" + id + "/0 of another"] = {};
  add_object(foreign);
  store.objects["media/uploads/" + foreign + "/a b"].meta.user.front().second = id;
  sweep();
  BOOST_TEST((state_of(id) == upload_state::completed));
  BOOST_TEST(ledger.rows.at(id).key == "uploads/" + id + "/a b");
  for (const auto& of : {none, foreign, shared}) BOOST_TEST((state_of(of) == upload_state::expired));
  BOOST_TEST(store.lists == 3); // a prefix without the id may be that of any number of uploads
}

BOOST_FIXTURE_TEST_CASE(a_store_that_cannot_list_is_asked_again_and_one_that_refuses_is_not, fixture) {
  const auto id = add(1);
  ledger.rows.at(id).key = "uploads/" + id + "/${filename}";
  add_object(id);
  store.refuses_lists = failure(errc::unavailable, "the store");
  sweep();
  BOOST_TEST((state_of(id) == upload_state::issued));
  store.refuses_lists = failure(errc::store_failed, "ListObjectsV2: AccessDenied");
  now += 10min;
  sweep();
  BOOST_TEST((state_of(id) == upload_state::expired)); // else each round would end at this upload
}

BOOST_FIXTURE_TEST_CASE(an_upload_stays_while_its_policy_is_valid, fixture) {
  const auto id = add(1, 1min);
  sweep();
  BOOST_TEST((state_of(id) == upload_state::issued));
  BOOST_TEST(ledger.checks.contains(id));
}

BOOST_FIXTURE_TEST_CASE(one_round_settles_more_than_one_batch, fixture) {
  options.max_in_flight = 3;
  std::vector<std::string> ids;
  for (int i = 0; i < 10; ++i) {
    ids.push_back(add(i));
    if (i % 2) add_object(ids.back());
  }
  sweep();
  for (int i = 0; i < 10; ++i)
    BOOST_TEST(
        (state_of(ids[static_cast<std::size_t>(i)]) == (i % 2 ? upload_state::completed : upload_state::expired)));
  BOOST_TEST(store.heads == 10);
}

BOOST_FIXTURE_TEST_CASE(a_store_that_does_not_answer_ends_the_round_and_loses_nothing, fixture) {
  options.max_in_flight = 2;
  for (int i = 0; i < 6; ++i) add_object(add(i));
  store.broken = failure(errc::unavailable, "the store");
  sweep();
  BOOST_TEST(store.heads == 2); // the other checks would fail too
  BOOST_TEST(ledger.confirmed == 0);
  BOOST_TEST(ledger.checks.size() == 6u);
  for (const auto& [id, row] : ledger.rows) BOOST_TEST((row.state == upload_state::issued));

  store.broken.reset();
  now += 10min; // after every lease
  sweep();
  BOOST_TEST(ledger.confirmed == 6);
}

BOOST_FIXTURE_TEST_CASE(a_store_that_does_not_answer_holds_up_no_other, fixture) {
  options.max_in_flight = 2;
  store.silent_buckets = {"away"};
  for (int i = 0; i < 10; ++i) ledger.rows.at(add(i)).bucket = "away"; // these are due first
  for (int i = 10; i < 15; ++i) add_object(add(i));
  sweep();
  BOOST_TEST(ledger.confirmed == 5);
  BOOST_TEST(store.heads == 2 + 5);
}

BOOST_FIXTURE_TEST_CASE(a_ledger_that_does_not_answer_ends_the_round, fixture) {
  add_object(add(1));
  ledger.broken = failure(errc::unavailable, "the ledger");
  sweep();
  BOOST_TEST(store.heads == 0);
  ledger.broken.reset();
  sweep();
  BOOST_TEST(ledger.confirmed == 1);
}

BOOST_FIXTURE_TEST_CASE(a_leased_upload_is_not_checked_twice, fixture) {
  const auto id = add(1, 1min);
  sweep();
  BOOST_TEST(store.heads == 1);
  sweep();
  BOOST_TEST(store.heads == 1);
  now += options.lease;
  sweep();
  BOOST_TEST(store.heads == 2);
  BOOST_TEST((state_of(id) == upload_state::expired)); // by then its policy has expired
}
