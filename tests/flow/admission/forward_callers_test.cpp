#include "support/run_task.hpp"
#include "support/scripted_peer.hpp"
#include <postern/flow/admission/forward_callers.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

// An answer with these header fields, each with its line end.
test::step answers_with(const std::string& fields, const std::string& status = "200 OK") {
  return test::step("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n" + fields + "\r\n");
}

struct fixture {
  explicit fixture(std::vector<test::step> steps) : application(std::move(steps)) {
    options.scheme = "https";
    options.host = "up.example.com";
    options.clock = [this] { return now; };
  }
  seconds_clock now{};
  forward_link_options options;
  test::scripted_peer application;
  http_client http;
  forward_auth auth{http, {{application.at(), "/authorize"}}};
  admission_link_ptr link;

  static request_credentials with_cookie(std::string_view cookie = "session=1") {
    request_credentials shown;
    shown.cookie = cookie;
    shown.method = "POST";
    shown.path = "/v1/uploads";
    shown.query = "a=b";
    shown.client_address = "192.0.2.1";
    shown.client_network = "192.0.2.1";
    return shown;
  }
  result<std::optional<caller>> recognize(request_credentials shown = with_cookie()) {
    if (!link) link = make_forward_link(auth, options);
    return test::run_task(link->recognize(shown));
  }
  caller caller_for(request_credentials shown = with_cookie()) { return recognize(shown).value().value(); }
};

} // namespace

BOOST_AUTO_TEST_CASE(the_application_names_the_user) {
  fixture f({answers_with("X-User: ann\r\n")});
  const auto who = f.caller_for();
  BOOST_TEST(who.user == "ann");
  BOOST_TEST(!who.is_anonymous());
  BOOST_TEST(who.may(caller_right::sign));
  BOOST_TEST(!who.may(caller_right::user));
  BOOST_TEST(who.may_use("any profile"));
}

BOOST_AUTO_TEST_CASE(the_application_learns_what_was_asked_for) {
  fixture f({answers_with("X-User: ann\r\n")});
  (void)f.caller_for();
  const auto asked = f.application.requests().front();
  BOOST_TEST(asked.method() == "GET");
  BOOST_TEST(asked.field("cookie") == "session=1");
  BOOST_TEST(!asked.has("authorization"));
  BOOST_TEST(asked.field("x-forwarded-method") == "POST");
  BOOST_TEST(asked.field("x-forwarded-proto") == "https");
  BOOST_TEST(asked.field("x-forwarded-host") == "up.example.com");
  BOOST_TEST(asked.field("x-forwarded-uri") == "/v1/uploads?a=b");
  BOOST_TEST(asked.field("x-forwarded-for") == "192.0.2.1");
}

BOOST_AUTO_TEST_CASE(only_what_is_sent_is_recognized) {
  fixture f({answers_with("X-User: ann\r\n").wants("GET /authorize")});
  f.options.sends_cookie = false;
  auto shown = fixture::with_cookie();
  BOOST_TEST(!f.recognize(shown).value().has_value());
  BOOST_TEST(!f.recognize(request_credentials{}).value().has_value());
  shown.authorization = "Bearer abc";
  BOOST_TEST(f.caller_for(shown).user == "ann");
  BOOST_TEST(f.application.requests().front().field("authorization") == "Bearer abc");
  BOOST_TEST(!f.application.requests().front().has("cookie"));
}

BOOST_AUTO_TEST_CASE(a_refusal_is_passed_on) {
  fixture f({answers_with("", "401 Unauthorized"), answers_with("", "403 Forbidden")});
  BOOST_TEST((f.recognize().error().code == errc::unauthorized));
  BOOST_TEST((f.recognize().error().code == errc::forbidden));
}

BOOST_AUTO_TEST_CASE(an_answer_without_a_good_user_admits_nobody) {
  fixture f({answers_with(""), answers_with("X-User:\r\n"), answers_with("X-User: a/b\r\n"),
             answers_with("X-User: ..\r\n"), answers_with("X-User: " + std::string(201, 'a') + "\r\n"),
             answers_with("X-User: \xff\r\n")});
  for (int n = 0; n < 6; ++n) BOOST_TEST((f.recognize().error().code == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(an_answer_that_says_something_twice_admits_nobody) {
  fixture f({answers_with("X-User: ann\r\nX-User: bob\r\n"),
             answers_with("X-User: ann\r\nX-Limits: quota=9\r\nX-Limits: quota=0\r\n"),
             answers_with("X-User: ann\r\nX-Limits: quota=9, quota=0\r\n")});
  f.options.limits_header = "x-limits";
  for (int n = 0; n < 3; ++n) BOOST_TEST((f.recognize().error().code == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(a_user_is_no_api_key) {
  fixture f({answers_with("X-User: app\r\n")});
  f.options.other_users = {"app"};
  BOOST_TEST((f.recognize().error().code == errc::forbidden));
}

BOOST_AUTO_TEST_CASE(header_fields_name_profiles) {
  fixture f(
      {answers_with("X-Account: ann\r\nX-Profiles: avatars, videos other\r\n"), answers_with("X-Account: ann\r\n")});
  f.options.user_header = "x-account";
  f.options.profiles_header = "x-profiles";
  BOOST_TEST((f.caller_for().profiles == std::vector<std::string>{"avatars", "videos", "other"}));
  BOOST_TEST(f.caller_for().profiles.empty()); // a header field that is configured and missing names none
}

BOOST_AUTO_TEST_CASE(a_header_field_limits_the_size) {
  fixture f({answers_with("X-User: ann\r\nX-Limits: max_size=1000, quota=5000\r\n"), answers_with("X-User: ann\r\n"),
             answers_with("X-User: ann\r\nX-Limits: max_size=1k\r\n"),
             answers_with("X-User: ann\r\nX-Limits: max_sise=1\r\n"),
             answers_with("X-User: ann\r\nX-Limits: max_size\r\n"),
             answers_with("X-User: ann\r\nX-Limits: max_size=\r\n")});
  f.options.limits_header = "x-limits";
  const auto limits = f.caller_for().limits;
  BOOST_TEST(limits.max_size.value() == 1000u);
  BOOST_TEST(limits.quota.value() == 5000u);
  BOOST_TEST(!f.caller_for().limits.max_size.has_value());
  for (int n = 0; n < 4; ++n) BOOST_TEST((f.recognize().error().code == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(without_a_cache_each_request_asks) {
  fixture f({answers_with("X-User: ann\r\n"), answers_with("X-User: bob\r\n")});
  BOOST_TEST(f.caller_for().user == "ann");
  BOOST_TEST(f.caller_for().user == "bob");
}

BOOST_AUTO_TEST_CASE(a_cached_answer_serves_the_same_question_only) {
  fixture f({answers_with("X-User: ann\r\n"), answers_with("X-User: bob\r\n"), answers_with("", "401 Unauthorized"),
             answers_with("", "401 Unauthorized"), answers_with("X-User: cat\r\n")});
  f.options.cache = 5s;
  BOOST_TEST(f.caller_for().user == "ann");
  f.now += 4s;
  BOOST_TEST(f.caller_for().user == "ann");
  auto elsewhere = fixture::with_cookie();
  elsewhere.query = "a=c"; // the application may decide by it
  BOOST_TEST(f.caller_for(elsewhere).user == "bob");
  for (int n = 0; n < 2; ++n) // a refusal is not cached
    BOOST_TEST((f.recognize(fixture::with_cookie("session=2")).error().code == errc::unauthorized));
  f.now += 1s;
  BOOST_TEST(f.caller_for().user == "cat");
}
