#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/flow/issue.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const signer own({secret("a secret for the tests only")});

struct fixture {
  test::fake_ledger ledger;
  quota limits; // of the profile
  caller who;
  sign_request ask;

  fixture() {
    ask.filename = "a";
    ask.size = 60;
    who.name = who.user = "ann";
  }
  result<signed_form> issue() {
    form_signer_options o;
    auto& p = o.profiles["default"];
    p.name = "default";
    p.bucket = "media";
    p.limits = limits;
    o.public_url = "https://up.example.com";
    form_store store;
    store.region = "eu-west-1";
    store.credentials = [] {
      return std::make_shared<const held_credentials>(held_credentials{{"AKIA", secret("key"), {}}, {}, "test"});
    };
    o.find_store = only(std::move(store));
    const form_signer forms(std::move(o), own);
    const form_issuer issuer(forms, ledger);
    return test::run_task(ask.filename.empty() ? issuer.issue_blank(ask.profile, ask.return_to, who, now_millis())
                                               : issuer.issue(ask, who, now_millis()));
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(without_a_quota_a_form_is_recorded_and_not_waited_for, fixture) {
  ledger.broken.emplace(errc::unavailable, "away");
  const auto form = issue().value();
  BOOST_TEST(ledger.rows.at(form.id).max_size == 60u);
}

BOOST_FIXTURE_TEST_CASE(under_a_quota_room_is_reserved_first, fixture) {
  limits.per_user = 100;
  const auto form = issue().value();
  BOOST_TEST(ledger.rows.contains(form.id));
  BOOST_TEST((ledger.reserved_under == limits));
}

BOOST_FIXTURE_TEST_CASE(a_form_without_room_is_not_given_out, fixture) {
  limits.per_user = 100;
  ledger.over_quota.emplace(errc::quota_exceeded, "no room");
  BOOST_TEST((issue().error().code == errc::quota_exceeded));
  ledger.over_quota.reset();
  ledger.broken.emplace(errc::unavailable, "away");
  BOOST_TEST((issue().error().code == errc::unavailable));
  BOOST_TEST(ledger.rows.empty());
}

// S3 takes any number of files from a form without a file name.
BOOST_FIXTURE_TEST_CASE(under_a_quota_the_file_has_a_name, fixture) {
  ask.filename.clear();
  BOOST_TEST(issue().has_value());
  limits.per_user = 100;
  BOOST_TEST((issue().error().code == errc::bad_request));
  limits = {};
  who.limits.quota = 100;
  BOOST_TEST((issue().error().code == errc::bad_request));
}

BOOST_FIXTURE_TEST_CASE(the_callers_own_quota_takes_the_place_of_the_profiles, fixture) {
  limits.per_user = 100;
  limits.total = 1000;
  who.limits.quota = 500;
  BOOST_TEST(issue().has_value());
  BOOST_TEST(ledger.reserved_under.per_user == 500u);
  BOOST_TEST(ledger.reserved_under.total == 1000u);
  limits = {}; // also in a profile without a quota
  BOOST_TEST(issue().has_value());
  BOOST_TEST((ledger.reserved_under == quota{.per_user = 500}));
  who.limits.quota = 0;
  BOOST_TEST((issue().error().code == errc::forbidden));
}
