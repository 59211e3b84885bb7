#include <postern/flow/admission/rate_limiter.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

const rate_limiter::time_point start{};

bool is_refused(const result<void>& taken) { return !taken && taken.error().code == errc::too_many_requests; }

} // namespace

BOOST_AUTO_TEST_CASE(a_burst_is_followed_by_the_rate) {
  rate_limiter limiter(2, 3, "the limit");
  for (int i = 0; i < 3; ++i) BOOST_TEST(limiter.take("u", start).has_value());
  BOOST_TEST(is_refused(limiter.take("u", start)));
  BOOST_TEST(is_refused(limiter.take("u", start + 400ms)));
  BOOST_TEST(limiter.take("u", start + 600ms).has_value()); // one token after half a second
  BOOST_TEST(is_refused(limiter.take("u", start + 700ms)));
}

BOOST_AUTO_TEST_CASE(each_user_has_a_bucket) {
  rate_limiter limiter(1, 1, "the limit");
  BOOST_TEST(limiter.take("u", start).has_value());
  BOOST_TEST(is_refused(limiter.take("u", start)));
  BOOST_TEST(limiter.take("v", start).has_value());
}

BOOST_AUTO_TEST_CASE(a_bucket_never_holds_more_than_the_burst) {
  rate_limiter limiter(1, 2, "the limit");
  const auto later = start + 1h;
  BOOST_TEST(limiter.take("u", start).has_value());
  for (int i = 0; i < 2; ++i) BOOST_TEST(limiter.take("u", later).has_value());
  BOOST_TEST(is_refused(limiter.take("u", later)));
}

BOOST_AUTO_TEST_CASE(a_burst_below_the_rate_counts_as_the_rate) {
  rate_limiter limiter(5, 1, "the limit");
  for (int i = 0; i < 5; ++i) BOOST_TEST(limiter.take("u", start).has_value());
  BOOST_TEST(is_refused(limiter.take("u", start)));
}

BOOST_AUTO_TEST_CASE(zero_is_no_limit) {
  rate_limiter limiter(0, 0, "the limit");
  for (int i = 0; i < 1000; ++i) BOOST_TEST(limiter.take("u", start).has_value());
}

BOOST_AUTO_TEST_CASE(only_full_buckets_are_dropped) {
  rate_limiter limiter(1, 1, "the limit");
  for (int i = 0; i < 99'999; ++i) BOOST_REQUIRE(limiter.take(std::to_string(i), start).has_value());
  const auto later = start + 10s;
  BOOST_TEST(limiter.take("u", later).has_value());
  BOOST_TEST(limiter.take("v", later).has_value()); // the other buckets are full again and make room
  BOOST_TEST(is_refused(limiter.take("u", later)));
}
