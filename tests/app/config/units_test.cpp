#include <postern/app/config/config.hpp>
#include <postern/app/config/spelling.hpp>
#include <postern/app/config/units.hpp>

#include <boost/test/unit_test.hpp>

#include <functional>

using namespace postern;
using namespace postern::app;
using namespace std::chrono_literals;

namespace {

std::string error_text(const std::function<void()>& read) {
  try {
    read();
  } catch (const config_error& e) {
    return e.what();
  }
  return "";
}

} // namespace

BOOST_AUTO_TEST_CASE(sizes_are_read_in_decimal_and_binary_units) {
  BOOST_TEST(parse_size("0") == 0u);
  BOOST_TEST(parse_size("5GiB") == 5368709120u);
  BOOST_TEST(parse_size("20KB") == 20000u);
  BOOST_TEST(parse_size("64 KiB") == 65536u);
}

BOOST_AUTO_TEST_CASE(times_are_read_with_their_unit_or_as_seconds) {
  BOOST_TEST((parse_time("15m") == 15min));
  BOOST_TEST((parse_time("500ms") == 500ms));
  BOOST_TEST((parse_time("24h") == 24h));
  BOOST_TEST((parse_time("30") == 30s));
}

BOOST_AUTO_TEST_CASE(an_invalid_size_or_time_is_quoted_with_an_example) {
  for (const std::string wrong : {"", "x", "5 parsecs", "-1", "1.5GiB"}) {
    const auto text = error_text([&] { parse_size(wrong); });
    BOOST_TEST(text.find('"' + wrong + "\" is not a size") == 0u, text);
    BOOST_TEST(text.find("64KiB") != text.npos);
  }
  for (const std::string large : {"99999999999GiB", "99999999TiB", "99999999999999999999"})
    BOOST_TEST(error_text([&] { parse_size(large); }) == '"' + large + "\" is too large; the maximum is 16777215TiB");
  BOOST_TEST(parse_size("16777215TiB") == 16777215ull << 40);
  BOOST_TEST(error_text([] { parse_size("6TiB", 5ull << 40); }) == "\"6TiB\" is too large; the maximum is 5TiB");
  for (const std::string wrong : {"", "m", "5 fortnights", "-1s"}) {
    const auto text = error_text([&] { parse_time(wrong); });
    BOOST_TEST(text.find('"' + wrong + "\" is not a time") == 0u, text);
  }
  BOOST_TEST(error_text([] { parse_time("1001d"); }) == "\"1001d\" is too large; the maximum is 1000d");
}

BOOST_AUTO_TEST_CASE(a_value_is_written_in_the_largest_unit_that_divides_it) {
  for (const char* text : {"0", "1", "512", "1KiB", "20KB", "16KiB", "512MiB", "5GiB", "5TiB", "1023"})
    BOOST_TEST(size_text(parse_size(text)) == text);
  for (const char* text : {"0s", "1ms", "500ms", "30s", "15m", "23h", "7d", "365d", "1500ms"})
    BOOST_TEST(time_text(parse_time(text)) == text);
}

BOOST_AUTO_TEST_CASE(a_misspelt_word_gets_a_suggestion) {
  const std::vector<std::string> known{"server.listen", "server.demo", "limits.buffers"};
  BOOST_TEST(suggestion("server.listn", known) == "; did you mean server.listen?");
  BOOST_TEST(suggestion("bufers", known) == "");
  BOOST_TEST(nearest("limits.bufers", known) == "limits.buffers");
  BOOST_TEST(nearest("something else", known) == "");
  BOOST_TEST(nearest("foo", {"iam", "trust", "cors"}) == "");
}
