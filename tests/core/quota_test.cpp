#include <postern/core/quota.hpp>

#include <boost/test/unit_test.hpp>

#include <limits>
#include <string>

using namespace postern;
using namespace std::chrono_literals;

namespace {

const millis_clock evening = parse_iso8601("2026-11-30T21:30:00Z").value();

bool has(const failure& why, const std::string& text) { return why.on.find(text) != std::string::npos; }

} // namespace

BOOST_AUTO_TEST_CASE(an_upload_counts_to_four_sums) {
  const auto sums =
      sums_of({.per_user_day = 1, .per_user = 2, .per_day = 3, .total = 4, .per_user_in_flight = 5, .in_flight = 6});
  const std::uint64_t bytes[] = {4, 3, 2, 1}, in_flight[] = {6, 0, 5, 0};
  for (std::size_t n = 0; n < sums.size(); ++n) {
    BOOST_TEST(sums[n].max_bytes == bytes[n]);
    BOOST_TEST(sums[n].max_in_flight == in_flight[n]);
    BOOST_TEST(sums[n].is_of_user == (n >= 2));
    BOOST_TEST(sums[n].is_of_day == (n % 2 == 1));
  }
}

BOOST_AUTO_TEST_CASE(a_sum_has_bytes_up_to_its_limit) {
  const quota_sum sum{true, false, 100, 2};
  BOOST_TEST(sum.has_bytes({60, 30, 1}, 10));
  BOOST_TEST(!sum.has_bytes({60, 30, 1}, 11));
  BOOST_TEST(!sum.has_bytes({120, 0, 0}, 0)); // a late object was charged above the limit
  BOOST_TEST(!sum.has_bytes({0, 0, 0}, std::numeric_limits<std::uint64_t>::max()));
  BOOST_TEST((quota_sum{true, false, 0, 0}.has_bytes({1ull << 60, 1ull << 60, 1'000'000}, 1ull << 60)));
}

BOOST_AUTO_TEST_CASE(what_can_never_fit_is_too_large) {
  const quota limits{.per_user = 100, .total = 1000};
  BOOST_TEST(fits_in(limits, 100).has_value());
  const auto why = fits_in(limits, 101).error();
  BOOST_TEST((why.code == errc::payload_too_large));
  BOOST_TEST(has(why, "would allow 101 bytes, and this user's quota is 100 bytes in all; declare the file's size"));
  BOOST_TEST(fits_in({}, std::numeric_limits<std::uint64_t>::max()).has_value());
}

BOOST_AUTO_TEST_CASE(a_refusal_says_what_is_left_and_when_there_is_more) {
  const auto of_today = over_quota({true, true, 100, 0}, {60, 30, 1}, 11, evening);
  BOOST_TEST((of_today.code == errc::quota_exceeded));
  BOOST_TEST(of_today.on ==
             "this user's quota of today has 10 bytes left of 100, and the form would allow 11 bytes; up to "
             "30 bytes of uploads in flight may become free; there is more from 2026-12-01T00:00:00Z");
  const auto in_all = over_quota({false, false, 100, 0}, {120, 0, 0}, 1, evening);
  BOOST_TEST(in_all.on == "the profile's quota has 0 bytes left of 100, and the form would allow 1 byte");
  const auto in_flight = over_quota({true, false, 100, 2}, {0, 0, 2}, 1, evening);
  BOOST_TEST((in_flight.code == errc::quota_exceeded));
  BOOST_TEST(has(in_flight, "this user's quota allows 2 uploads in flight"));
}

BOOST_AUTO_TEST_CASE(a_day_is_one_of_utc) {
  BOOST_TEST(day_of(evening) == 20787);
  BOOST_TEST(day_of(evening + 2h + 29min) == 20787);
  BOOST_TEST(day_of(evening + 2h + 30min) == 20788);
}
