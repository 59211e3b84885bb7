#include <postern/flow/admission/rate_limiter.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using uses = std::vector<rate_limiter::use>;

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

// --- with other nodes -------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(users_who_took_a_tenth_of_the_rate_are_noticeable_the_heaviest_first) {
  rate_limiter limiter(50, 100, "the limit");
  const auto take = [&](const char* user, int times) {
    for (int i = 0; i < times; ++i) BOOST_TEST(limiter.take(user, start).has_value());
  };
  take("light", 4), take("noticeable", 5), take("heavy", 60), take("heavier", 61);
  BOOST_TEST((limiter.begin_round(10) == uses{{"heavier", 61}, {"heavy", 60}, {"noticeable", 5}}));
  BOOST_TEST(limiter.begin_round(10).empty());
  take("light", 4); // its former four are of another round
  BOOST_TEST(limiter.begin_round(10).empty());
  take("heavy", 10), take("heavier", 11), take("noticeable", 12);
  BOOST_TEST((limiter.begin_round(1) == uses{{"noticeable", 12}}));
}

BOOST_AUTO_TEST_CASE(what_other_nodes_admit_is_missing_here) {
  rate_limiter limiter(2, 4, "the limit");
  BOOST_TEST(limiter.take_elsewhere("u", 3, start));
  BOOST_TEST(limiter.take("u", start).has_value());
  BOOST_TEST(is_refused(limiter.take("u", start)));
  BOOST_TEST(limiter.take_elsewhere("u", 1'000, start)); // it owes ten bursts and no more
  BOOST_TEST(is_refused(limiter.take("u", start + 20'400ms)));
  BOOST_TEST(limiter.take("u", start + 20'600ms).has_value());
}

BOOST_AUTO_TEST_CASE(a_user_stays_noticeable_until_its_bucket_is_full) {
  rate_limiter limiter(20, 40, "the limit");
  BOOST_TEST(limiter.take_elsewhere("u", 30, start));
  BOOST_TEST((limiter.begin_round(10) == uses{{"u", 0}}));
  BOOST_TEST(limiter.begin_round(10).empty()); // nobody asked meanwhile
  BOOST_TEST(limiter.take_elsewhere("u", 0, start + 1s));
  BOOST_TEST((limiter.begin_round(10) == uses{{"u", 0}}));
  BOOST_TEST(!limiter.take_elsewhere("u", 0, start + 2s));
  BOOST_TEST(limiter.begin_round(10).empty());
  BOOST_TEST(!limiter.take_elsewhere("unknown", 0, start));
}

BOOST_AUTO_TEST_CASE(many_users_fill_neither_a_round_nor_the_memory) {
  rate_limiter limiter(1, 1, "the limit");
  for (int i = 0; i < 250'000; ++i) BOOST_REQUIRE(limiter.take(std::to_string(i), start).has_value());
  BOOST_TEST(limiter.begin_round(100'000).size() <= 1'024u);
  for (int i = 0; i < 250'000; ++i) {
    const auto later = start + std::chrono::seconds(2 + i / 1'000); // now full buckets are dropped, except noticed ones
    BOOST_REQUIRE(limiter.take(std::to_string(i), later).has_value());
  }
  BOOST_TEST(limiter.begin_round(100).size() == 100u);
}
