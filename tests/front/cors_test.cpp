#include "support/test_request.hpp"
#include <postern/front/cors.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace postern::front;
using test::test_request;

namespace {

const cors_rules allowed("https://Up.example.com/x", {"https://app.example.com"});

bool may_call(const std::string& origin, const std::string& host) {
  test_request asks(http::verb::post, "/v1/uploads");
  asks.with("Host", host);
  if (!origin.empty()) asks.from_page(origin);
  const auto checked = allowed.check(asks.made());
  if (!checked) BOOST_TEST((checked.error().code == errc::forbidden));
  return checked.has_value();
}

} // namespace

BOOST_AUTO_TEST_CASE(the_list_is_exact_and_has_the_servers_own_origin) {
  BOOST_TEST(allowed.contains("https://app.example.com"));
  BOOST_TEST(allowed.contains("https://up.example.com"));
  for (const char* other : {"null", "", "https://app.example.com.evil.test", "http://app.example.com",
                            "https://app.example.com:8443", "https://app.example.com/", "*", "https://example.com"})
    BOOST_TEST(!allowed.contains(other), other);
}

BOOST_AUTO_TEST_CASE(only_a_listed_page_may_read_a_response) {
  response made;
  allowed.add_headers(cors_readers::allowed_origins,
                      test_request(http::verb::get, "/").from_page("https://app.example.com").made(), made);
  BOOST_TEST(test::field_of(made, "Access-Control-Allow-Origin") == "https://app.example.com");
  BOOST_TEST(test::field_of(made, "Access-Control-Allow-Credentials") == "true");
  BOOST_TEST(test::field_of(made, "Vary") == "Origin");
  for (const char* other : {"https://evil.example", "null"}) {
    response refused;
    allowed.add_headers(cors_readers::allowed_origins, test_request(http::verb::get, "/").from_page(other).made(),
                        refused);
    BOOST_TEST(test::field_of(refused, "Access-Control-Allow-Origin") == "(absent)");
    BOOST_TEST(test::field_of(refused, "Access-Control-Allow-Credentials") == "(absent)");
    BOOST_TEST(test::field_of(refused, "Vary") == "Origin"); // caches must keep the two apart
  }
}

BOOST_AUTO_TEST_CASE(a_page_may_call_when_it_is_listed_or_delivered_by_this_server) {
  BOOST_TEST(may_call("", "up.example.com")); // not from a page
  BOOST_TEST(may_call("https://app.example.com", "up.example.com"));
  BOOST_TEST(may_call("http://127.0.0.1:8080", "127.0.0.1:8080"));
  BOOST_TEST(!may_call("https://evil.example", "up.example.com"));
  BOOST_TEST(!may_call("null", "up.example.com"));
  BOOST_TEST(!may_call("http://127.0.0.1:8080", "127.0.0.1:9090"));
}

BOOST_AUTO_TEST_CASE(cookies_count_for_pages_that_may_call_and_for_reading_within_a_site) {
  const auto may = [](http::verb verb, const char* origin, const char* site, bool to_read = true) {
    test_request asks(verb, "/v1/uploads");
    asks.with("Host", "up.example.com");
    if (origin) asks.from_page(origin);
    if (site) asks.with("Sec-Fetch-Site", site);
    return allowed.may_use_cookies(asks.made(), to_read);
  };
  const auto post = http::verb::post, get = http::verb::get;
  for (const auto verb : {post, get}) {
    BOOST_TEST(may(verb, "https://app.example.com", nullptr));
    BOOST_TEST(may(verb, "https://up.example.com", "same-origin"));
    BOOST_TEST(!may(verb, "https://evil.example", "same-site")); // a sibling that is not listed
    BOOST_TEST(!may(verb, "null", nullptr));
    BOOST_TEST(!may(verb, "", "same-origin"));
    BOOST_TEST(!may(verb, nullptr, nullptr));
    for (const char* site : {"none", "cross-site", "same", ""}) BOOST_TEST(!may(verb, nullptr, site), site);
  }
  for (const char* site : {"same-origin", "same-site"}) {
    BOOST_TEST(may(get, nullptr, site));
    BOOST_TEST(!may(post, nullptr, site)); // a browser names the origin when it posts
  }
  BOOST_TEST(may(get, nullptr, "same-origin", false)); // GET /form signs
  BOOST_TEST(!may(get, nullptr, "same-site", false));
}

BOOST_AUTO_TEST_CASE(the_same_host_is_an_address_or_localhost_with_the_same_port) {
  BOOST_TEST(is_same_host("http://127.0.0.1:8080", "127.0.0.1:8080", false));
  BOOST_TEST(is_same_host("http://localhost", "LOCALHOST", false) == false); // Host is compared as localhost only
  BOOST_TEST(is_same_host("http://localhost:1", "localhost:1", false));
  BOOST_TEST(is_same_host("https://[::1]:8443", "[::1]:8443", true));
  BOOST_TEST(!is_same_host("http://[::1]:8443", "[::1]:8443", true));
  BOOST_TEST(!is_same_host("http://127.0.0.1", "127.0.0.1", true));
  // DNS rebinding: the attacker's name resolves to this server, and its page has the same name as origin.
  BOOST_TEST(!is_same_host("http://rebind.example:8080", "rebind.example:8080", false));
  BOOST_TEST(!is_same_host("http://", "", false));
}
