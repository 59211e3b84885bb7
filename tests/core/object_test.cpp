#include <postern/core/object.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(etags_lose_their_quotes) {
  BOOST_TEST(bare_etag("\"a-2\"") == "a-2");
  BOOST_TEST(bare_etag("W/\"a\"") == "a");
  BOOST_TEST(bare_etag("\"\"") == "");
  for (const char* as_it_is : {"a", "", "\"", "\"a", "a\"", "W/a"}) BOOST_TEST(bare_etag(as_it_is) == as_it_is);
  BOOST_TEST(quoted_etag("a") == "\"a\"");
}
