#include <postern/base/dates.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(times_are_written_and_parsed_in_every_format) {
  const seconds_clock t = parse_iso8601("2026-11-23T18:15:00Z").value();
  BOOST_TEST(t.time_since_epoch().count() == 1795457700);
  BOOST_TEST(amz_date(t) == "20261123T181500Z");
  BOOST_TEST(iso8601(t) == "2026-11-23T18:15:00Z");
  BOOST_TEST(iso8601_millis(t + std::chrono::milliseconds(7)) == "2026-11-23T18:15:00.007Z");
  BOOST_TEST(http_date(t) == "Mon, 23 Nov 2026 18:15:00 GMT");
  BOOST_TEST((parse_http_date("Mon, 23 Nov 2026 18:15:00 GMT").value() == t));
  for (const char* wrong : {"", "Tue, 23 Nov 2026 18:15:00 GMT", "Mon, 23 Nov 2026 18:15:00 UTC",
                            "Monday, 23-Nov-26 18:15:00 GMT", "Mon Nov 23 18:15:00 2026"})
    BOOST_TEST(parse_http_date(wrong).has_error(), wrong);
  BOOST_TEST((parse_amz_date("20261123T181500Z").value() == t));
  for (int i = 0; i < 2000; ++i) {
    const auto other = t + std::chrono::seconds(i * 86400ll * 37 + i * 3661ll);
    BOOST_TEST_REQUIRE((parse_http_date(http_date(other)).value() == other));
    BOOST_TEST_REQUIRE((parse_iso8601(iso8601(other)).value() == other));
    BOOST_TEST_REQUIRE((parse_amz_date(amz_date(other)).value() == other));
  }
  BOOST_TEST(iso8601_millis(t + std::chrono::milliseconds(987)) == "2026-11-23T18:15:00.987Z");
  BOOST_TEST(iso8601_millis(t) == "2026-11-23T18:15:00.000Z");
  BOOST_TEST((parse_iso8601("2026-11-23T18:15:00.999Z").value() == t));
  BOOST_TEST((parse_iso8601("2028-02-29T00:00:00Z").has_value()));
  for (const char* wrong :
       {"2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T18:15:00",
        "2026-11-23T18:15:00+01:00", "2026-11-23", "", "2026-11-23T18:60:00Z"})
    BOOST_TEST(parse_iso8601(wrong).has_error(), wrong);
  for (const char* wrong : {"20261123T181500", "20261332T181500Z", "2026-11-23T18:15:00Z", "20261123t181500z"})
    BOOST_TEST(parse_amz_date(wrong).has_error(), wrong);
}
