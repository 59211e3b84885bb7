#include <postern/io/circuit_breaker.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

struct fixture {
  circuit_breaker breaker{3, 5s};
  circuit_breaker::time_point now{};

  // Whether the last of the failures gave the server up.
  bool fail(int times) {
    bool gave_up = false;
    for (int n = 0; n < times; ++n) gave_up = breaker.note_failure(now);
    return gave_up;
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(some_failures_change_nothing, fixture) {
  BOOST_TEST(!fail(2));
  BOOST_TEST(breaker.may_ask(now));
  BOOST_TEST(!breaker.note_success());
  BOOST_TEST(!fail(2)); // only failures in a row count
  BOOST_TEST(breaker.may_ask(now));
}

BOOST_FIXTURE_TEST_CASE(a_server_that_fails_is_not_asked_for_a_while, fixture) {
  BOOST_TEST(fail(3));
  BOOST_TEST(!breaker.may_ask(now));
  now += 4999ms;
  BOOST_TEST(!breaker.may_ask(now));
}

BOOST_FIXTURE_TEST_CASE(then_one_question_finds_out_whether_it_is_back, fixture) {
  fail(3);
  now += 5s;
  BOOST_TEST(breaker.may_ask(now));
  BOOST_TEST(!breaker.may_ask(now)); // the others wait for its result
  BOOST_TEST(breaker.note_success());
  BOOST_TEST(breaker.may_ask(now));
  BOOST_TEST(breaker.may_ask(now));
}

BOOST_FIXTURE_TEST_CASE(when_that_question_fails_the_while_begins_anew, fixture) {
  fail(3);
  now += 5s;
  BOOST_TEST(breaker.may_ask(now));
  BOOST_TEST(!breaker.note_failure(now)); // it was given up before
  now += 4999ms;
  BOOST_TEST(!breaker.may_ask(now));
  now += 1ms;
  BOOST_TEST(breaker.may_ask(now));
}

BOOST_FIXTURE_TEST_CASE(a_question_that_never_ends_counts_as_a_failure, fixture) {
  fail(3);
  now += 5s;
  BOOST_TEST(breaker.may_ask(now));
  now += 5s;
  BOOST_TEST(breaker.may_ask(now));
}
