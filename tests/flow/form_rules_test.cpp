#include <postern/flow/form_rules.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(the_result_is_appended_as_s3_appends_it) {
  BOOST_TEST(with_result("https://a.example/c", "b", "k/a b+\xc3\xa9", "e") ==
             "https://a.example/c?bucket=b&key=k%2Fa%20b%2B%C3%A9&etag=%22e%22");
  BOOST_TEST(with_result("https://a.example/c?x=1#top", "b", "k", "e") ==
             "https://a.example/c?x=1&bucket=b&key=k&etag=%22e%22#top");
}

BOOST_AUTO_TEST_CASE(fields_that_s3_could_not_take_are_refused_by_name) {
  const auto refused = [](const std::string& name, const std::string& value) {
    const auto usable = check_fields({{"key", "a"}, {name, value}});
    return usable ? errc{} : usable.error().code;
  };
  BOOST_TEST((refused("Content-Type", std::string("text\0plain", 10)) == errc::invalid_argument));
  BOOST_TEST((refused("x-amz-meta-album", std::string(1, '\0')) == errc::invalid_argument));
  BOOST_TEST((refused("x-amz-meta-album", std::string(2100, 'a')) == errc::invalid_argument));
  BOOST_TEST((refused("anything", std::string((64 << 10) + 1, 'a')) == errc::fields_too_large));
  for (const char* location : {"ftp://a.example/", "javascript:alert(1)", "a", ""})
    BOOST_TEST((refused("x-amz-website-redirect-location", location) == errc::invalid_argument), location);
  for (const char* location : {"/a", "https://a.example/b", "http://a.example/"})
    BOOST_TEST((refused("X-Amz-Website-Redirect-Location", location) == errc{}), location);
}
