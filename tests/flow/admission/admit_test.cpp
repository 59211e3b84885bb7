#include "support/run_task.hpp"
#include <postern/base/digest.hpp>
#include <postern/flow/admission/api_keys.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

// Answers the same to every request, and counts them.
class fixed_link final : public admission_link {
public:
  fixed_link(result<std::optional<caller>> answer, int& calls) : answer_(std::move(answer)), calls_(calls) {}
  task<result<std::optional<caller>>> recognize(request_credentials) const override {
    ++calls_;
    co_return answer_;
  }

private:
  const result<std::optional<caller>> answer_;
  int& calls_;
};

std::vector<api_key> two_keys() {
  return {{"app", sha256_hex("first"), {"*"}}, {"batch", sha256_hex("second"), {"photos"}}};
}

seconds_clock at_noon() { return parse_iso8601("2026-11-29T12:00:00Z").value(); }

result<caller> admit(std::vector<admission_link_ptr> links, std::string_view authorization) {
  const admitter a(std::move(links));
  return test::run_task(a.admit({authorization}));
}

std::vector<admission_link_ptr> keys_and_anonymous() {
  std::vector<admission_link_ptr> links;
  links.push_back(make_api_key_link(two_keys(), at_noon));
  links.push_back(make_anonymous_link());
  return links;
}

std::vector<admission_link_ptr> keys_only() {
  std::vector<admission_link_ptr> links;
  links.push_back(make_api_key_link(two_keys(), at_noon));
  return links;
}

} // namespace

BOOST_AUTO_TEST_CASE(an_api_key_names_its_caller_and_profiles) {
  for (const auto* authorization : {"Bearer second", "bearer second", "BEARER  second"}) {
    const auto who = admit(keys_and_anonymous(), authorization).value();
    BOOST_TEST(who.name == "batch");
    BOOST_TEST(who.user == "batch");
    BOOST_TEST(!who.is_anonymous());
    BOOST_TEST(who.may_use("photos"));
    BOOST_TEST(!who.may_use("default"));
    BOOST_TEST(who.may(caller_right::sign));
    BOOST_TEST(who.may(caller_right::read));
  }
  BOOST_TEST(admit(keys_and_anonymous(), "Bearer first").value().may_use("anything"));
}

BOOST_AUTO_TEST_CASE(without_authorization_the_anonymous_link_admits) {
  const auto who = admit(keys_and_anonymous(), "").value();
  BOOST_TEST(who.is_anonymous());
  BOOST_TEST(who.user == "");
  BOOST_TEST(who.may_use("default"));
  BOOST_TEST(who.may(caller_right::sign));
}

BOOST_AUTO_TEST_CASE(a_request_with_authorization_is_never_anonymous) {
  for (const auto* authorization : {"Bearer third", "Bearer ", "Bearer", "Basic Zmlyc3Q6", "first", " "}) {
    const auto who = admit(keys_and_anonymous(), authorization);
    BOOST_TEST((who.has_error() && who.error().code == errc::unauthorized), authorization);
  }
}

BOOST_AUTO_TEST_CASE(without_an_anonymous_link_credentials_are_required) {
  BOOST_TEST((admit(keys_only(), "").error().code == errc::unauthorized));
  BOOST_TEST((admit({}, "Bearer first").error().code == errc::unauthorized));
}

BOOST_AUTO_TEST_CASE(a_link_that_refuses_ends_the_search) {
  int refused = 0, unreached = 0;
  std::vector<admission_link_ptr> links;
  links.push_back(std::make_unique<fixed_link>(failure{errc::forbidden, "expired"}, refused));
  links.push_back(std::make_unique<fixed_link>(std::optional<caller>(caller{}), unreached));
  const auto admitted = admit(std::move(links), "Bearer first");
  BOOST_TEST((admitted.error().code == errc::forbidden));
  BOOST_TEST(refused == 1);
  BOOST_TEST(unreached == 0);
}

BOOST_AUTO_TEST_CASE(a_link_that_does_not_recognize_the_credentials_passes_them_on) {
  int passed = 0;
  std::vector<admission_link_ptr> links;
  links.push_back(std::make_unique<fixed_link>(std::optional<caller>(), passed));
  links.push_back(make_api_key_link(two_keys(), at_noon));
  const auto admitted = admit(std::move(links), "Bearer first");
  BOOST_TEST(admitted.value().name == "app");
  BOOST_TEST(passed == 1);
}

BOOST_AUTO_TEST_CASE(a_key_has_its_rights_and_no_others) {
  auto keys = two_keys();
  keys[0].rights = caller_right::sign;
  keys[1].rights = caller_rights(caller_right::read) | caller_right::user;
  const auto link = make_api_key_link(keys, at_noon);
  const auto app = test::run_task(link->recognize({"Bearer first"})).value().value();
  BOOST_TEST(app.may(caller_right::sign));
  BOOST_TEST(!app.may(caller_right::read));
  BOOST_TEST(!app.may_see("photos", "app"));
  const auto batch = test::run_task(link->recognize({"Bearer second"})).value().value();
  BOOST_TEST(!batch.may(caller_right::sign));
  BOOST_TEST(batch.may_see("photos", "batch"));
  BOOST_TEST(batch.may_see("photos", "ann")); // the right "user": all uploads of its profiles
  BOOST_TEST(!batch.may_see("default", "ann"));
}

BOOST_AUTO_TEST_CASE(a_key_ends_when_it_expires) {
  auto keys = two_keys();
  keys[0].expires = at_noon() + std::chrono::seconds(1);
  keys[1].expires = at_noon();
  const auto link = make_api_key_link(keys, at_noon);
  BOOST_TEST(test::run_task(link->recognize({"Bearer first"})).value().has_value());
  const auto expired = test::run_task(link->recognize({"Bearer second"}));
  BOOST_TEST((expired.error().code == errc::unauthorized));
  BOOST_TEST(expired.error().on == "the API key expired at 2026-11-29T12:00:00Z");
}
