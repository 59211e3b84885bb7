#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/flow/completion/record.hpp>
#include <postern/flow/completion/remove.hpp>
#include <postern/flow/completion/sweep.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

const signer own({secret("a secret for the tests only")});

// One completed upload and its object, which must be claimed within an hour.
struct fixture {
  millis_clock now{std::chrono::milliseconds(1'795'457'700'123)};
  test::fake_store store;
  test::fake_ledger ledger;
  std::map<std::string, profile> profiles;
  const recorder recording{ledger, store, profiles};
  completer completions{own, store, ledger, recording};
  const remover removals{{}, store, ledger};
  const std::string id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4";

  fixture() {
    profiles["default"].unclaimed = 1h;
    upload u;
    u.id = id;
    u.profile = "default";
    u.bucket = "media";
    u.key = "uploads/" + id + "/a b";
    u.max_size = 100;
    u.expires_at = now + 15min;
    put("abc");
    BOOST_TEST(test::run_task(recording.record(u, object(), completion_source::fallback, now)).has_value());
  }
  std::string name() const { return "media/uploads/" + id + "/a b"; }
  void put(const std::string& etag) {
    stored_object o;
    o.size = 50;
    o.etag = etag;
    o.meta.user.emplace_back("postern-id", id);
    store.objects[name()] = o;
  }
  stored_object object() { return store.objects.at(name()); }
  bool is_stored() { return store.objects.contains(name()); }
  upload& row() { return ledger.rows.at(id); }
  result<upload> remove() { return test::run_task(removals.remove(id, now)); }
  void sweep() {
    sweeper_options options;
    options.clock = [this] { return now; };
    sweeper s(options, completions, removals, ledger);
    test::run_task(s.run_round());
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_completed_upload_is_removed_with_its_object, fixture) {
  BOOST_TEST((row().claim_until == now + 1h));
  BOOST_TEST((remove().value().state == upload_state::removed));
  BOOST_TEST(!is_stored());
  BOOST_TEST((remove().value().state == upload_state::removed)); // again
  row().state = upload_state::issued;
  BOOST_TEST((remove().error().code == errc::conflict));
}

BOOST_FIXTURE_TEST_CASE(the_object_of_another_upload_is_left_alone, fixture) {
  for (const auto* other : {"01a20a86-41d4-7ac8-8ecb-000000000002", ""}) { // "": another program's
    row().state = upload_state::completed;
    put(*other ? "abc" : "another"); // a file with the same content has the same ETag
    store.objects[name()].meta.user.clear();
    if (*other) store.objects[name()].meta.user.emplace_back("postern-id", other);
    BOOST_TEST((remove().value().state == upload_state::removed));
    BOOST_TEST(is_stored());
  }
}

BOOST_FIXTURE_TEST_CASE(what_the_same_form_stored_later_is_deleted_too, fixture) {
  put("another");
  BOOST_TEST((remove().value().state == upload_state::removed));
  BOOST_TEST(!is_stored());
}

// A form that an SDK signed may store an object that names no upload.
BOOST_FIXTURE_TEST_CASE(an_object_that_names_no_upload_is_known_by_its_etag, fixture) {
  store.objects[name()].meta.user.clear();
  BOOST_TEST((remove().value().state == upload_state::removed));
  BOOST_TEST(!is_stored());
}

BOOST_FIXTURE_TEST_CASE(a_silent_store_ends_the_batch, fixture) {
  for (int n = 0; n < 100; ++n) {
    auto u = row();
    u.id = "01a20a86-41d4-7ac8-8ecb-0000000001" + std::to_string(n + 10);
    ledger.rows[u.id] = u;
  }
  now += 2h;
  store.broken = failure{errc::unavailable, "away"};
  sweep();
  std::size_t removing = 0;
  for (const auto& [id_of_it, u] : ledger.rows) removing += u.state == upload_state::removing ? 1 : 0;
  BOOST_TEST(removing == remover_options{}.max_in_flight);
}

BOOST_FIXTURE_TEST_CASE(a_silent_store_holds_up_no_removal_in_another, fixture) {
  for (int n = 0; n < 100; ++n) {
    auto u = row();
    u.id = "01a20a86-41d4-7ac8-8ecb-0000000000" + std::to_string(n + 10); // before the fixture's
    u.bucket = "away";
    ledger.rows[u.id] = u;
  }
  now += 2h;
  store.silent_buckets = {"away"};
  sweep();
  BOOST_TEST((row().state == upload_state::removed));
}

BOOST_FIXTURE_TEST_CASE(the_sweep_goes_on_with_a_removal_that_broke_off, fixture) {
  store.broken = failure{errc::unavailable, "away"};
  BOOST_TEST((remove().error().code == errc::unavailable));
  BOOST_TEST((row().state == upload_state::removing));
  store.broken.reset();
  sweep();
  BOOST_TEST((row().state == upload_state::removing)); // its lease has not ended
  now += 3min;
  sweep();
  BOOST_TEST((row().state == upload_state::removed));
  BOOST_TEST(!is_stored());
}

BOOST_FIXTURE_TEST_CASE(what_nobody_claims_in_time_is_removed, fixture) {
  now += 59min;
  sweep();
  BOOST_TEST(is_stored());
  now += 1min;
  sweep();
  BOOST_TEST((row().state == upload_state::removed));
  BOOST_TEST(!is_stored());
}

BOOST_FIXTURE_TEST_CASE(a_claimed_upload_stays, fixture) {
  BOOST_TEST(test::run_task(ledger.claim_upload(id, "order 17", now)).has_value());
  now += 24h;
  sweep();
  BOOST_TEST((row().state == upload_state::completed));
  BOOST_TEST(is_stored());
}

BOOST_FIXTURE_TEST_CASE(a_profile_without_a_time_keeps_its_uploads, fixture) {
  profiles.clear();
  upload u = row();
  u.id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd5";
  u.claim_until.reset();
  BOOST_TEST(!test::run_task(recording.record(u, object(), completion_source::sweep, now)).value().claim_until);
}

// The form can be posted until it expires. What it stores behind the removal is deleted after that.
BOOST_FIXTURE_TEST_CASE(what_comes_behind_a_removal_is_deleted_too, fixture) {
  (void)remove();
  put("later");
  BOOST_TEST((test::run_task(recording.record(row(), object(), completion_source::event, now)).error().code ==
              errc::conflict));
  BOOST_TEST((row().state == upload_state::removed));
  ledger.checks[id] = now; // as the ledger schedules it
  store.broken = failure{errc::unavailable, "away"};
  sweep();
  BOOST_TEST(!ledger.settled.contains(id));
  store.broken.reset();
  now += 10min;
  sweep();
  BOOST_TEST(!is_stored());
  BOOST_TEST((ledger.settled.at(id) == std::nullopt));
}
