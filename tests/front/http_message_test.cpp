#include <postern/front/admission.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/http_server.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace postern::front;

namespace {

std::string printed(const response& r, bool keep_alive = true, bool head = false) {
  std::string out;
  print(out, r, keep_alive, head, "0123");
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(an_answer_is_one_piece_with_its_length) {
  const auto text = printed(text_answer(200, "text/plain", "hello"));
  BOOST_TEST(text.starts_with("HTTP/1.1 200 OK\r\n"));
  BOOST_TEST(text.find("\r\nContent-Length: 5\r\n") != text.npos);
  BOOST_TEST(text.find("\r\nDate: ") != text.npos);
  BOOST_TEST(text.ends_with("\r\n\r\nhello"));
  BOOST_TEST(printed(text_answer(200, "text/plain", "hello"), true, true).ends_with("\r\n\r\n"));
  BOOST_TEST(printed(text_answer(200, "text/plain", "hello"), false).find("Connection: close") != std::string::npos);
  response empty;
  empty.status = 204;
  BOOST_TEST(printed(empty).find("Content-Length") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_problem_is_rfc_9457) {
  const auto r = problem({errc::too_many_requests, "at most 5 a second"}, "req");
  BOOST_TEST(r.status == 429);
  BOOST_TEST(r.content_type == "application/problem+json");
  BOOST_TEST(r.body.find("\"code\":\"too_many_requests\"") != std::string::npos);
  BOOST_TEST(printed(r).find("Retry-After: ") != std::string::npos);
  BOOST_TEST(printed(problem({errc::unauthorized, ""}, "")).find("WWW-Authenticate: Bearer") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_error_of_s3_is_escaped_xml) {
  const auto r = s3_error({errc::policy_mismatch, "<b>"}, "/b/&k", "req");
  BOOST_TEST(r.status == 403);
  BOOST_TEST(r.body.find("<Code>AccessDenied</Code>") != std::string::npos);
  BOOST_TEST(r.body.find("<b>") == std::string::npos);
  BOOST_TEST(r.body.find("<Resource>/b/&amp;k</Resource>") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(who_is_admitted) {
  admission_options o;
  o.public_url = "https://Up.example.com/x";
  o.allowed_origins = {"https://app.example.com"};
  o.api_keys = {
      {"app", "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", {"images"}}}; // SHA-256 of "foo"
  const admission closed(o);
  BOOST_TEST((closed.who("").error().code == errc::unauthorized));
  BOOST_TEST((closed.who("Bearer bar").error().code == errc::unauthorized));
  BOOST_TEST((closed.who("Basic foo").error().code == errc::unauthorized));
  BOOST_TEST(closed.who("bearer foo")->key->name == "app");
  BOOST_TEST(closed.who("Bearer foo")->may_use("images"));
  BOOST_TEST(!closed.who("Bearer foo")->may_use("videos"));
  o.anonymous = true;
  const admission open(o);
  BOOST_TEST(open.who("").has_value());
  BOOST_TEST((open.who("Bearer wrong").error().code == errc::unauthorized));
  BOOST_TEST(open.knows_origin("https://app.example.com"));
  BOOST_TEST(open.knows_origin("https://up.example.com"));
  for (const char* other :
       {"null", "", "https://app.example.com.evil.test", "http://app.example.com", "https://app.example.com:8443", "*"})
    BOOST_TEST(!open.knows_origin(other), other);
}

BOOST_AUTO_TEST_CASE(a_rate_is_kept_for_each_user) {
  admission_options o;
  o.sign_rate = 2, o.sign_burst = 3;
  admission a(o);
  const std::chrono::steady_clock::time_point t{};
  for (int i = 0; i < 3; ++i) BOOST_TEST(a.count("u", t).has_value());
  BOOST_TEST((a.count("u", t).error().code == errc::too_many_requests));
  BOOST_TEST(a.count("v", t).has_value());
  BOOST_TEST(a.count("u", t + std::chrono::milliseconds(600)).has_value());
  BOOST_TEST(a.count("u", t + std::chrono::milliseconds(700)).has_error());
}

BOOST_AUTO_TEST_CASE(connections_are_counted_by_address) {
  connection_count counts(3, 2);
  const auto a = asio::ip::make_address("10.0.0.1"), b = asio::ip::make_address("10.0.0.2");
  {
    auto first = counts.enter(a), second = counts.enter(a);
    BOOST_TEST(first.has_value());
    BOOST_TEST(second.has_value());
    BOOST_TEST(!counts.enter(a).has_value());
    auto third = counts.enter(b);
    BOOST_TEST(third.has_value());
    BOOST_TEST(!counts.enter(b).has_value()); // three in all
  }
  BOOST_TEST(counts.enter(a).has_value());
}

BOOST_AUTO_TEST_CASE(a_fields_value_cannot_begin_another) {
  std::string out;
  auto r = redirect_to("https://a.example/\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK");
  print(out, r, true, false, "id");
  BOOST_TEST(out.find("\r\nSet-Cookie") == out.npos);
  BOOST_TEST(out.find("\r\n\r\n") + 4 == out.size());
}

BOOST_AUTO_TEST_CASE(addresses_as_they_are_written) {
  BOOST_TEST(parse_endpoint("127.0.0.1:8080").port() == 8080);
  BOOST_TEST(parse_endpoint("[::1]:80").address().is_v6());
  BOOST_TEST(parse_endpoint("localhost:1").address().is_loopback());
  BOOST_TEST(parse_endpoint(":9").address().is_unspecified());
  for (const char* wrong : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "[::1:80", "a b:1", "127.0.0.1:8080x"})
    BOOST_CHECK_THROW(parse_endpoint(wrong), std::runtime_error);
}
