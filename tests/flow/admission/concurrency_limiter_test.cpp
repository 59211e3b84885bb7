#include <postern/flow/admission/concurrency_limiter.hpp>

#include <boost/test/unit_test.hpp>

#include <vector>

using namespace postern;

BOOST_AUTO_TEST_CASE(each_user_has_so_many_places) {
  concurrency_limiter limiter(2);
  auto first = limiter.enter("u");
  auto second = limiter.enter("u");
  BOOST_TEST((first && second));
  BOOST_TEST(!limiter.enter("u"));
  BOOST_TEST(limiter.enter("v").has_value());
  second.reset();
  BOOST_TEST(limiter.enter("u").has_value());
}

BOOST_AUTO_TEST_CASE(a_place_that_was_moved_is_left_once) {
  concurrency_limiter limiter(1);
  {
    auto place = limiter.enter("u");
    std::vector<concurrency_limiter::place> held;
    held.push_back(std::move(*place));
    place.reset();
    BOOST_TEST(!limiter.enter("u"));
  }
  BOOST_TEST(limiter.enter("u").has_value());
}

BOOST_AUTO_TEST_CASE(zero_is_no_limit_on_places) {
  concurrency_limiter limiter(0);
  std::vector<concurrency_limiter::place> held;
  for (int n = 0; n < 100; ++n) held.push_back(std::move(*limiter.enter("u")));
  BOOST_TEST(held.size() == 100u);
}
