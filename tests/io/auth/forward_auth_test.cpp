#include "support/captured_log.hpp"
#include "support/run_task.hpp"
#include "support/scripted_peer.hpp"
#include <postern/io/auth/forward_auth.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;
using test::answers;

namespace {

// The application is a peer that plays a script.
struct fixture {
  explicit fixture(std::vector<test::step> steps, std::chrono::milliseconds timeout = 2s)
      : application(std::move(steps)), auth(http, {{application.at(), "/authorize"}, timeout, 2, 500ms}) {}
  test::scripted_peer application;
  http_client http;
  forward_auth auth;

  result<http_response> ask() { return test::run_task(auth.ask({{"Cookie", "session=1"}}, "192.0.2.1")); }
};

} // namespace

BOOST_AUTO_TEST_CASE(the_application_gets_the_credentials) {
  fixture f({answers(200, "").wants("GET /authorize HTTP/1.1")});
  BOOST_TEST(f.ask()->status == 200);
  BOOST_TEST(f.application.requests().front().field("cookie") == "session=1");
}

BOOST_AUTO_TEST_CASE(its_decisions_are_passed_on) {
  fixture f({answers(204, ""), answers(401, "who?"), answers(403, "no")});
  for (const int status : {204, 401, 403}) BOOST_TEST(f.ask()->status == status);
}

BOOST_AUTO_TEST_CASE(a_redirect_is_no_decision) {
  fixture f({answers(302, "")});
  const auto why = f.ask().error();
  BOOST_TEST((why.code == errc::unavailable));
  BOOST_TEST(why.on.find("answered 302, not 2xx, 401 or 403; answer 401 instead of a redirect") != std::string::npos);
}

// Otherwise one client with odd credentials could open the breaker for all clients.
BOOST_AUTO_TEST_CASE(odd_answers_do_not_make_the_application_count_as_down) {
  fixture f({answers(431, ""), answers(400, ""), answers(302, ""), answers(429, ""), answers(200, "")});
  for (int n = 0; n < 4; ++n) BOOST_TEST((f.ask().error().code == errc::unavailable));
  BOOST_TEST(f.ask()->status == 200);
}

BOOST_AUTO_TEST_CASE(a_long_answer_is_no_failure) {
  fixture f({answers(200, std::string(100'000, 'x'))});
  BOOST_TEST(f.ask()->status == 200);
}

BOOST_AUTO_TEST_CASE(a_question_has_an_end) {
  fixture f({answers(200, "").after(5s)}, 100ms);
  const auto begin = std::chrono::steady_clock::now();
  BOOST_TEST((f.ask().error().code == errc::unavailable));
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 4s));
}

BOOST_AUTO_TEST_CASE(an_application_that_fails_is_left_alone_for_a_moment) {
  test::captured_log log;
  fixture f({answers(500, ""), answers(500, ""), answers(200, "")});
  int failed = 0;
  result<http_response> answer = f.ask();
  for (; !answer; answer = f.ask(), ++failed) {
    BOOST_TEST_REQUIRE(failed < 1'000'000);
    BOOST_TEST((answer.error().code == errc::unavailable));
  }
  BOOST_TEST(answer->status == 200);
  BOOST_TEST(failed > 2); // two were asked, the others were not
  BOOST_TEST(f.application.requests().size() == 3u);
  const auto text = log.text();
  for (const std::string event : {"given up for a moment", "answers again"}) {
    BOOST_TEST(text.find(event) != std::string::npos);
    BOOST_TEST(text.find(event) == text.rfind(event)); // said once
  }
}

BOOST_AUTO_TEST_CASE(one_client_cannot_take_all_places) {
  fixture f(std::vector<test::step>(21, answers(200, "").after(2s)), 30s);
  int answered = 0;
  const auto ask = [&](std::string client) -> task<> {
    const auto answer = co_await f.auth.ask({{"Cookie", client}}, client);
    answered += answer.has_value();
  };
  const auto many = [&]() -> task<> {
    group asking(co_await asio::this_coro::executor);
    for (int n = 0; n < 20; ++n) asking.start(ask("greedy"));
    asking.start(ask("modest"));
    co_await asking.wait(60s);
  };
  test::run_task(many());
  BOOST_TEST(answered == 21);
  // The greedy client's first 16 questions took 2 s. Its others had to wait for them, and the modest one had not.
  const auto asked = f.application.requests();
  const auto modest =
      std::find_if(asked.begin(), asked.end(), [](const auto& r) { return r.field("cookie") == "modest"; });
  BOOST_TEST(std::distance(asked.begin(), modest) <= 16);
}
