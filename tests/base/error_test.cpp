#include <postern/base/error.hpp>

#include <boost/test/unit_test.hpp>

#include <set>

using namespace postern;

BOOST_AUTO_TEST_CASE(every_code_has_a_row_of_its_own) {
  std::set<std::string_view> names;
  for (int i = 1; i <= static_cast<int>(errc::disconnected); ++i) {
    const auto& row = text_of(static_cast<errc>(i));
    BOOST_TEST(static_cast<int>(row.code) == i);
    BOOST_TEST(names.insert(row.name).second, row.name);
    BOOST_TEST((row.status >= 400 && row.status < 600));
    BOOST_TEST(!row.s3_name.empty());
    BOOST_TEST(row.sentence.ends_with('.'));
  }
}

BOOST_AUTO_TEST_CASE(only_temporary_failures_are_retryable) {
  BOOST_TEST(retryable(errc::unavailable));
  BOOST_TEST(retryable(errc::too_many_requests));
  BOOST_TEST(retryable(errc::store_failed));
  BOOST_TEST(!retryable(errc::policy_mismatch));
  BOOST_TEST(!retryable(errc::bad_request));
}

BOOST_AUTO_TEST_CASE(text_from_outside_is_quoted_and_cut) {
  BOOST_TEST(quote("a\"b\\\n\xff\xc3\xa9") == "\"a\\\"b\\\\\\x0a\\xff\xc3\xa9\"");
  const auto cut = quote(std::string(1000, 'x'), 80);
  BOOST_TEST(cut.size() < 100u);
  BOOST_TEST(cut.ends_with("…\""));
  BOOST_TEST(describe({errc::missing_key, "here"}).ends_with(" (here)"));
}
