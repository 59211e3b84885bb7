#include "support/test_request.hpp"
#include <postern/front/http_message.hpp>

#include <boost/test/unit_test.hpp>

#include <set>
#include <string>

using namespace postern;
using namespace postern::front;
using test::field_of;

namespace {

std::string printed(const response& r, bool keep_alive = true, bool head = false) {
  std::string out;
  append_response(out, r, keep_alive, head, "0123");
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_response_is_one_piece_with_its_length) {
  const auto text = printed(make_response(200, "text/plain", "hello"));
  BOOST_TEST(text.starts_with("HTTP/1.1 200 OK\r\n"));
  BOOST_TEST(text.find("\r\nContent-Length: 5\r\n") != text.npos);
  BOOST_TEST(text.find("\r\nDate: ") != text.npos);
  BOOST_TEST(text.ends_with("\r\n\r\nhello"));
  BOOST_TEST(printed(make_response(200, "text/plain", "hello"), true, true).ends_with("\r\n\r\n"));
  BOOST_TEST(printed(make_response(200, "text/plain", "hello"), false).find("Connection: close") != std::string::npos);
  response empty;
  empty.status = 204;
  BOOST_TEST(printed(empty).find("Content-Length") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_interim_response_has_fields_and_nothing_else) {
  response hint;
  hint.status = 104;
  hint.with("Location", "https://up.example.com/v1/files/x");
  std::string out;
  append_interim(out, hint);
  BOOST_TEST(out == "HTTP/1.1 104 Upload Resumption Supported\r\nLocation: https://up.example.com/v1/files/x\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(a_problem_follows_rfc_9457) {
  const auto r = make_problem({errc::too_many_requests, "at most 5 a second"}, "req");
  BOOST_TEST(r.status == 429);
  BOOST_TEST(r.content_type == "application/problem+json");
  BOOST_TEST(r.body.find("\"code\":\"too_many_requests\"") != std::string::npos);
  BOOST_TEST(printed(r).find("Retry-After: ") != std::string::npos);
  BOOST_TEST(printed(make_problem({errc::unauthorized, ""}, "")).find("WWW-Authenticate: Bearer") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(retry_after_is_spread_over_half_as_much_again) {
  const auto values = [](unsigned seconds) {
    std::set<std::string> all;
    for (std::uint32_t chance = 0; chance < 1000; ++chance) all.insert(spread_retry_after(seconds, chance));
    return all;
  };
  BOOST_TEST((values(1) == std::set<std::string>{"1", "2"}));
  BOOST_TEST((values(5) == std::set<std::string>{"5", "6", "7"}));
  BOOST_TEST((values(60).size() == 31u && *values(60).begin() == "60" && *values(60).rbegin() == "90"));
  for (const auto code : {errc::too_many_requests, errc::quota_exceeded, errc::unavailable}) {
    std::set<std::string> problems, errors;
    for (int n = 0; n < 100; ++n) {
      problems.insert(field_of(make_problem({code, "x"}, "req"), "Retry-After"));
      errors.insert(field_of(make_s3_error({code, "x"}, "/b", "req"), "Retry-After"));
    }
    BOOST_TEST(problems.size() > 1u);
    BOOST_TEST(errors.size() > 1u);
    BOOST_TEST(!problems.contains("0"));
  }
}

BOOST_AUTO_TEST_CASE(an_error_of_s3_is_escaped_xml) {
  const auto r = make_s3_error({errc::policy_mismatch, "<b>"}, "/b/&k", "req");
  BOOST_TEST(r.status == 403);
  BOOST_TEST(r.body.find("<Code>AccessDenied</Code>") != std::string::npos);
  BOOST_TEST(r.body.find("<b>") == std::string::npos);
  BOOST_TEST(r.body.find("<Resource>/b/&amp;k</Resource>") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_fields_value_cannot_begin_another_field) {
  std::string out;
  auto r = make_redirect("https://a.example/\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK");
  append_response(out, r, true, false, "id");
  BOOST_TEST(out.find("\r\nSet-Cookie") == out.npos);
  BOOST_TEST(out.find("\r\n\r\n") + 4 == out.size());
}
