#include <postern/flow/form_rules.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(the_result_is_appended_as_s3_appends_it) {
  BOOST_TEST(with_result("https://a.example/c", "b", "k/a b+\xc3\xa9", "e") ==
             "https://a.example/c?bucket=b&key=k%2Fa%20b%2B%C3%A9&etag=%22e%22");
  BOOST_TEST(with_result("https://a.example/c?x=1#top", "b", "k", "e") ==
             "https://a.example/c?x=1&bucket=b&key=k&etag=%22e%22#top");
}
