#include <postern/app/stores/store_watch.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_CASE(a_line_is_logged_once_a_minute_and_the_others_are_counted) {
  app::minute_limit limit;
  const auto begin = std::chrono::steady_clock::time_point{} + 100h;
  std::size_t left_out = 7;
  BOOST_TEST(limit.take(begin, left_out));
  BOOST_TEST(left_out == 0u);
  for (const auto after : {0s, 1s, 59s}) BOOST_TEST(!limit.take(begin + after, left_out));
  BOOST_TEST(limit.take(begin + 60s, left_out));
  BOOST_TEST(left_out == 3u);
  BOOST_TEST(!limit.take(begin + 119s, left_out));
  BOOST_TEST(limit.take(begin + 500s, left_out));
  BOOST_TEST(left_out == 1u);
}
