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

BOOST_AUTO_TEST_CASE(a_field_that_would_have_no_effect_is_refused_by_name) {
  for (const char* name :
       {"x-amz-server-side-encryption-customer-key", "X-Amz-Server-Side-Encryption-Customer-Algorithm", "x-amz-acl",
        "x-amz-request-payer", "X-Amz-Something-New"}) {
    const auto usable = check_fields({{"key", "a"}, {name, "v"}});
    BOOST_TEST_REQUIRE(!usable.has_value(), name);
    BOOST_TEST((usable.error().code == errc::invalid_argument));
    BOOST_TEST(usable.error().on.find(name) != std::string::npos, usable.error().on);
  }
  for (const char* name : {"Filename", "submit", "x-ignore-a", "x-amz-meta-a", "x-amz-checksum-sha256", "X-Amz-Date",
                           "X-Amz-Object-Lock-Mode", "Content-Language"})
    BOOST_TEST(check_fields({{"key", "a"}, {name, "v"}}).has_value(), name);
}

BOOST_AUTO_TEST_CASE(what_s3_stores_reaches_the_object) {
  const signer own({secret(std::string(32, 's'))});
  const std::vector<std::pair<std::string, std::string>> stored{{"content-language", "de"},
                                                                {"x-amz-grant-read", "id=1"},
                                                                {"x-amz-object-lock-mode", "GOVERNANCE"},
                                                                {"x-amz-server-side-encryption-context", "e30="}};
  std::vector<form_field> fields{{"key", "a"}, {"submit", "now"}, {"x-amz-date", "d"}};
  for (const auto& [name, value] : stored) fields.push_back({name, value});
  BOOST_TEST((details_of(fields, "media", own, millis_clock{}).plan.meta.headers == stored));
}
