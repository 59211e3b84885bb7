#include "support/run_task.hpp"
#include "support/token_maker.hpp"
#include <postern/flow/admission/jwt_callers.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

const auto known = test::signing_key::ec(), other = test::signing_key::ec();
const auto noon = parse_iso8601("2026-11-29T12:00:00Z").value();

std::vector<token_key> keys_with(std::string kid, const test::signing_key& key) {
  return {{std::move(kid), verifying_key::from_pem(key.public_pem()).value()}};
}

// Keys that the test changes, with a count of what was asked.
struct changing_keys final : token_keys {
  result<list> now = failure{errc::unavailable, "none yet"}, later = now;
  int refetches = 0;

  changing_keys() = default;
  explicit changing_keys(std::vector<token_key> keys) { set(std::move(keys)); }
  void set(std::vector<token_key> keys) {
    now = later = std::make_shared<const std::vector<token_key>>(std::move(keys));
  }
  result<list> current() const override { return now; }
  task<result<list>> refetch() override {
    ++refetches;
    now = later;
    co_return now;
  }
  task<> keep_fresh() override { co_return; }
};

struct fixture {
  changing_keys keys{keys_with("a", known)};
  seconds_clock now = noon;
  jwt_link_options options;

  std::string token(std::string_view more = "", const test::signing_key& key = known, std::string_view kid = "a") {
    const auto exp = std::to_string((noon + 1h).time_since_epoch().count());
    return make_token(key, header_of(key, ",\"kid\":\"" + std::string(kid) + "\""),
                      R"({"sub":"ann","exp":)" + exp + std::string(more) + "}");
  }
  result<std::optional<caller>> recognize(const std::string& token) {
    if (!link) {
      options.clock = [this] { return now; };
      link = make_jwt_link(keys, options);
    }
    const auto authorization = "Bearer " + token;
    return test::run_task(link->recognize({authorization}));
  }
  admission_link_ptr link;
};

} // namespace

BOOST_FIXTURE_TEST_CASE(the_subject_is_the_user, fixture) {
  const auto who = recognize(token()).value().value();
  BOOST_TEST(who.user == "ann");
  BOOST_TEST(!who.is_anonymous());
  BOOST_TEST(who.may(caller_right::sign));
  BOOST_TEST(who.may_use("anything"));
  BOOST_TEST(who.may_see("default", "ann"));
  BOOST_TEST(!who.may_see("default", "bob"));
  BOOST_TEST(!who.limits.max_size.has_value());
}

BOOST_FIXTURE_TEST_CASE(what_is_no_token_is_left_to_the_other_links, fixture) {
  for (const auto* other_credentials : {"an-api-key", "a.b", "a.b.c.d", "a.b.c.d.e.f", ""})
    BOOST_TEST(!recognize(other_credentials).value().has_value());
  BOOST_TEST(!test::run_task(link->recognize({""})).value().has_value());
  BOOST_TEST(!test::run_task(link->recognize({"Basic YTpi"})).value().has_value());
}

BOOST_FIXTURE_TEST_CASE(a_token_that_is_wrong_is_refused, fixture) {
  for (const auto& wrong : {std::string("a.b.c"), token("", other), token() + "x", token(",\"nbf\":99999999999")})
    BOOST_TEST((recognize(wrong).error().code == errc::unauthorized));
}

BOOST_FIXTURE_TEST_CASE(a_claim_names_the_profiles, fixture) {
  options.profiles_claim = "uploads";
  const auto profiles = [this](std::string_view claim) { return recognize(token(claim)).value().value().profiles; };
  using names = std::vector<std::string>;
  BOOST_TEST(profiles(R"(,"uploads":["avatars","videos"])") == (names{"avatars", "videos"}));
  BOOST_TEST(profiles(R"(,"uploads":"avatars  videos ")") == (names{"avatars", "videos"}));
  BOOST_TEST(profiles(R"(,"uploads":[1,"avatars"])") == names{"avatars"});
  BOOST_TEST(profiles("").empty());
  BOOST_TEST(profiles(R"(,"uploads":7)").empty());
}

BOOST_FIXTURE_TEST_CASE(a_claim_limits_the_size, fixture) {
  options.max_size_claim = "max";
  BOOST_TEST(recognize(token(",\"max\":1000")).value().value().limits.max_size.value() == 1000u);
  BOOST_TEST(!recognize(token()).value().value().limits.max_size.has_value());
  for (const auto* wrong : {",\"max\":-1", ",\"max\":\"1000\"", ",\"max\":1.5", ",\"max\":null"})
    BOOST_TEST((recognize(token(wrong)).error().code == errc::unauthorized));
}

BOOST_FIXTURE_TEST_CASE(a_claim_limits_all_uploads, fixture) {
  options.quota_claim = "room";
  const auto limits = recognize(token(",\"room\":0")).value().value().limits;
  BOOST_TEST(limits.quota.value() == 0u);
  BOOST_TEST(!limits.max_size.has_value());
  BOOST_TEST((recognize(token(",\"room\":\"1GiB\"")).error().code == errc::unauthorized));
}

BOOST_FIXTURE_TEST_CASE(the_name_of_an_api_key_is_no_user_of_a_token, fixture) {
  options.other_users = {"app", "ann"};
  BOOST_TEST((recognize(token()).error().code == errc::forbidden));
}

BOOST_FIXTURE_TEST_CASE(an_algorithm_that_is_not_allowed_causes_no_fetch, fixture) {
  options.rules.algorithms = {"RS256"};
  BOOST_TEST((recognize(token("", known, "unknown")).error().code == errc::unauthorized));
  BOOST_TEST(keys.refetches == 0);
}

BOOST_FIXTURE_TEST_CASE(an_encrypted_token_is_refused_as_such, fixture) {
  const auto refused = recognize("eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d");
  BOOST_TEST(refused.error().on.find("encrypted") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(an_unknown_key_is_looked_for_before_the_token_is_refused, fixture) {
  keys.later = std::make_shared<const std::vector<token_key>>(keys_with("b", other));
  BOOST_TEST(recognize(token("", other, "b")).value().has_value());
  BOOST_TEST(keys.refetches == 1);
  BOOST_TEST((recognize(token("", other, "c")).error().code == errc::unauthorized));
  BOOST_TEST(keys.refetches == 2);
}

BOOST_FIXTURE_TEST_CASE(a_known_key_is_not_looked_for, fixture) {
  BOOST_TEST((recognize(token("", other)).error().code == errc::unauthorized));
  BOOST_TEST(keys.refetches == 0);
}

BOOST_FIXTURE_TEST_CASE(without_keys_nobody_is_refused_for_good, fixture) {
  keys.now = keys.later = failure{errc::unavailable, "the server is down"};
  BOOST_TEST((recognize(token()).error().code == errc::unavailable));
  BOOST_TEST((recognize("a.b.c").error().code == errc::unauthorized)); // whatever the keys are
}

BOOST_FIXTURE_TEST_CASE(a_verified_token_ends_with_its_time, fixture) {
  BOOST_TEST(recognize(token()).value().has_value());
  now = noon + 1h + 59s; // within the leeway
  BOOST_TEST(recognize(token()).value().has_value());
  now = noon + 1h + 60s;
  BOOST_TEST((recognize(token()).error().code == errc::unauthorized));
}

BOOST_FIXTURE_TEST_CASE(a_withdrawn_key_takes_its_verified_tokens_along, fixture) {
  const auto shown = token();
  BOOST_TEST(recognize(shown).value().has_value());
  keys.set(keys_with("a", other));
  BOOST_TEST((recognize(shown).error().code == errc::unauthorized));
}

BOOST_FIXTURE_TEST_CASE(many_verified_tokens_are_not_kept_for_ever, fixture) {
  // More than the 10 000 that are remembered; each must still be accepted.
  const auto shared = test::signing_key::shared(std::string(32, 's'));
  keys.set({{"s", verifying_key::from_secret(secret(std::string(32, 's'))).value()}});
  for (int n = 0; n < 10'050; ++n)
    BOOST_REQUIRE(recognize(token(",\"n\":" + std::to_string(n), shared, "s")).value().has_value());
}
