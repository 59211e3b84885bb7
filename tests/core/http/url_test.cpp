#include <postern/core/http/url.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace postern;

BOOST_AUTO_TEST_CASE(an_url_names_a_server_and_a_target) {
  struct row {
    const char *url, *host;
    std::uint16_t port;
    bool tls;
    const char *target, *authority;
  };
  for (const auto& r : std::vector<row>{
           {"http://example.com", "example.com", 80, false, "/", "example.com"},
           {"https://example.com", "example.com", 443, true, "/", "example.com"},
           {"HTTPS://Example.COM/Path", "example.com", 443, true, "/Path", "example.com"},
           {"http://example.com:80/", "example.com", 80, false, "/", "example.com"},
           {"http://example.com:443/", "example.com", 443, false, "/", "example.com:443"},
           {"https://example.com:80/", "example.com", 80, true, "/", "example.com:80"},
           {"https://example.com:65535/a?b=c", "example.com", 65535, true, "/a?b=c", "example.com:65535"},
           {"http://127.0.0.1:9000/", "127.0.0.1", 9000, false, "/", "127.0.0.1:9000"},
           {"http://10.0.0.1.nip.io:9000/x", "10.0.0.1.nip.io", 9000, false, "/x", "10.0.0.1.nip.io:9000"},
           {"https://127.0.0.1.example.com", "127.0.0.1.example.com", 443, true, "/", "127.0.0.1.example.com"},
           {"http://media.127.0.0.1/", "media.127.0.0.1", 80, false, "/", "media.127.0.0.1"},
           {"http://[::1]:9000/x", "[::1]", 9000, false, "/x", "[::1]:9000"},
           {"https://[2001:DB8::A]/", "[2001:db8::a]", 443, true, "/", "[2001:db8::a]"},
           {"http://example.com?a=b", "example.com", 80, false, "/?a=b", "example.com"},
           {"http://example.com/a%20b%2Fc?d=%26#fragment", "example.com", 80, false, "/a%20b%2Fc?d=%26", "example.com"},
           {"http://bucket.s3-eu.example.com/", "bucket.s3-eu.example.com", 80, false, "/", "bucket.s3-eu.example.com"},
       }) {
    BOOST_TEST_CONTEXT(r.url) {
      const auto url = parse_web_url(r.url);
      BOOST_TEST_REQUIRE(url.has_value());
      BOOST_TEST(url->server.host == r.host);
      BOOST_TEST(url->server.port == r.port);
      BOOST_TEST(url->server.tls == r.tls);
      BOOST_TEST(url->target == r.target);
      BOOST_TEST(is_web_url(r.url));
      BOOST_TEST(origin_of(r.url) == url->server.origin());
      BOOST_TEST(url->server.authority() == r.authority);
      BOOST_TEST(url->server.origin() == (r.tls ? "https://" : "http://") + std::string(r.authority));
    }
  }
}

BOOST_AUTO_TEST_CASE(text_that_is_no_web_url_is_rejected) {
  for (const auto* url : {"",
                          "example.com",
                          "/path",
                          "//example.com/",
                          "ftp://example.com/",
                          "http:/example.com",
                          "http://",
                          "http:///path",
                          "https://:443/",
                          "http://example.com:0/",
                          "http://example.com:65536/",
                          "http://example.com:99999999999/",
                          "http://example.com:x/",
                          "http://example.com:-1/",
                          "http://exa mple.com/",
                          "http://example.com/a b",
                          "http://example.com/\r\nHost: other",
                          "http://[::1/",
                          "http://[::1]x/",
                          "http://1.2.3.4 x/",
                          "http://[::g]/",
                          "http://ex%41mple.com/"}) {
    BOOST_TEST_CONTEXT(url) {
      const auto read = parse_web_url(url);
      BOOST_TEST_REQUIRE(!read.has_value());
      BOOST_TEST((read.error().code == errc::invalid_argument));
      BOOST_TEST(read.error().on.find(quote(url)) != std::string::npos);
      BOOST_TEST(!is_web_url(url));
      BOOST_TEST(origin_of(url).empty());
      BOOST_TEST(target_of(url).empty());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_user_name_is_refused_and_a_password_is_not_repeated) {
  for (const auto* url : {"http://user@example.com/", "http://user:hunter2@example.com/", "http://@example.com/",
                          "http://1.2.3.4x:hunter2@example.com/"}) {
    const auto read = parse_web_url(url);
    BOOST_TEST_REQUIRE(!read.has_value(), url);
    BOOST_TEST((read.error().code == errc::invalid_argument));
    BOOST_TEST(read.error().on.find("password") != std::string::npos);
    BOOST_TEST(read.error().on.find("hunter2") == std::string::npos);
    BOOST_TEST(!is_web_url(url), url);
  }
  BOOST_TEST(parse_web_url("https://example.com/@me").has_value());
}

BOOST_AUTO_TEST_CASE(a_redirect_url_may_have_characters_that_browsers_encode) {
  for (const auto* url : {"https://a.example/x?filter[name]=1|2", "https://a.example/{x}^`", "https://a.example/%zz",
                          "https://a.example#[fragment]"}) {
    BOOST_TEST(is_web_url(url), url);
    BOOST_TEST(!parse_web_url(url).has_value(), url);
  }
  for (const char c : {'"', '<', '>', '\\', ' ', '\n', '\0', '\x7f', '\x80'})
    BOOST_TEST(!is_web_url("https://a.example/" + std::string(1, c)), static_cast<int>(c));
}

BOOST_AUTO_TEST_CASE(an_origin_is_written_as_browsers_write_it) {
  BOOST_TEST(origin_of("HTTPS://App.Example.com:443/a?b#c") == "https://app.example.com");
  BOOST_TEST(origin_of("http://localhost:8080") == "http://localhost:8080");
  BOOST_TEST(origin_of("http://[::1]:80/") == "http://[::1]");
  BOOST_TEST(origin_of("https://a.example*/x") == "https://a.example*"); // settings look for such a star
  BOOST_TEST(origin_of("*").empty());
}

BOOST_AUTO_TEST_CASE(a_target_is_the_path_and_the_query) {
  BOOST_TEST(target_of("https://a.example/b/c?d=/e#f") == "/b/c?d=/e");
  BOOST_TEST(target_of("https://a.example") == "/");
  BOOST_TEST(target_of("https://a.example?d") == "/");
  BOOST_TEST(target_of("https://a.example/%zz") == "/%zz");
}

BOOST_AUTO_TEST_CASE(percent_encoded_dot_segments_are_found) {
  for (const std::string out : {".", "..", "../y", "a/../../y", "%2e%2E/y", ".%2e", "a/./y", "%zz", "a/..", "..%2fy",
                                "a%2F..", "..%5cy", "%2f.."})
    BOOST_TEST(has_dot_segment("https://a.example/x/" + out), out);
  for (const std::string inside : {"", "a", "..a/b..", "...", "?c=../d", "#/../", "a//b", "%2f..a"})
    BOOST_TEST(!has_dot_segment("https://a.example/x/" + inside), inside);
  BOOST_TEST(!has_dot_segment("https://a.example"));
  BOOST_TEST(has_dot_segment("no URL"));
}

BOOST_AUTO_TEST_CASE(a_parameter_is_added_between_query_and_fragment) {
  BOOST_TEST(with_parameter("https://a.example/", "b", "c d&") == "https://a.example/?b=c%20d%26");
  BOOST_TEST(with_parameter("https://a.example/?x=1#y", "b", "c") == "https://a.example/?x=1&b=c#y");
}

BOOST_AUTO_TEST_CASE(ip_addresses_are_distinguished_from_names) {
  const auto at = [](const char* url) { return parse_web_url(url).value().server; };
  BOOST_TEST(at("http://127.0.0.1:9000/").is_ip());
  BOOST_TEST(at("http://[::1]/").is_ip());
  BOOST_TEST(!at("http://10.0.0.1.nip.io/").is_ip());
  BOOST_TEST(!at("http://1.2.3/").is_ip());
  for (const auto* loopback : {"http://localhost/", "http://127.0.0.1/", "http://127.255.0.9:80/", "http://[::1]/"})
    BOOST_TEST(at(loopback).is_loopback(), loopback);
  for (const auto* other : {"http://127.example.com/", "http://localhost.example.com/", "http://128.0.0.1/",
                            "http://[::2]/", "http://10.0.0.1/"})
    BOOST_TEST(!at(other).is_loopback(), other);
  BOOST_TEST(at("http://[2001:DB8::A]/").bare_host() == "2001:db8::a");
  BOOST_TEST(at("http://example.com/").bare_host() == "example.com");
}
