// Requests whose server neither answers nor stays silent: each ends, however steadily bytes come.
#include "support/black_hole.hpp"
#include "support/run_task.hpp"
#include "support/scripted_peer.hpp"
#include <postern/io/net/http_client.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

struct fixture {
  http_client http;
  asio::io_context loop{1};

  static http_request to(const scripted_peer& peer, std::string method = "GET") {
    http_request r;
    r.to = peer.at();
    r.method = std::move(method);
    r.idle_timeout = 10s; // no byte is this late
    return r;
  }
  result<http_response> send(const http_request& r, std::string_view body = {}) {
    return run_on(loop, http.send(r, body));
  }
  result<http_response> send_by(http_request r, std::chrono::milliseconds max, std::string_view body = {}) {
    r.deadline = steady_clock::now() + max;
    return send(r, body);
  }
};

bool is_timeout(const result<http_response>& r, std::string_view words) {
  return !r && r.error().code == errc::timed_out && r.error().on.find(words) != std::string::npos;
}

const std::string many_bytes(100'000, 'x');

} // namespace

BOOST_FIXTURE_TEST_SUITE(http_deadlines, fixture)

BOOST_AUTO_TEST_CASE(a_header_that_comes_byte_by_byte_has_an_end) {
  scripted_peer peer({step("HTTP/1.1 200 OK\r\nX: " + many_bytes).in_pieces(20ms)});
  auto r = to(peer);
  r.header_timeout = 200ms;
  const auto begin = steady_clock::now();
  BOOST_TEST(is_timeout(send(r), "header took too long"));
  BOOST_TEST((steady_clock::now() - begin < 8s));
}

BOOST_AUTO_TEST_CASE(a_header_that_is_slow_but_in_time_is_read) {
  scripted_peer peer({answers(200, "x").in_pieces(2ms)});
  auto r = to(peer);
  r.header_timeout = 9s;
  BOOST_TEST(send(r).value().body == "x");
}

BOOST_AUTO_TEST_CASE(endless_interim_responses_have_an_end) {
  std::string interim;
  for (int n = 0; n < max_interim_responses; ++n) interim += "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
  const std::string fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  scripted_peer peer({step(interim + fine), step("HTTP/1.1 100 Continue\r\n\r\n" + interim + fine)});
  BOOST_TEST(send(to(peer)).value().body == "ok");
  const auto endless = send(to(peer));
  BOOST_TEST((!endless && endless.error().code == errc::bad_request));
  BOOST_TEST(endless.error().on.find("interim responses") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_deadline_ends_a_response_that_trickles) {
  const std::string sized = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + many_bytes;
  const std::string unsized = "HTTP/1.1 200 OK\r\n\r\n" + many_bytes;
  const std::string header = "HTTP/1.1 200 OK\r\nX: " + many_bytes;
  for (const auto& bytes : {sized, unsized, header}) {
    scripted_peer peer({step(bytes).in_pieces(20ms)});
    const auto begin = steady_clock::now();
    BOOST_TEST(is_timeout(send_by(to(peer), 300ms), "deadline has passed"));
    const auto took = steady_clock::now() - begin;
    BOOST_TEST((took >= 300ms));
    BOOST_TEST((took < 8s));
  }
}

BOOST_AUTO_TEST_CASE(a_deadline_ends_each_wait) {
  const std::string body(8 << 20, 'b'); // more than sockets hold
  scripted_peer silent({answers(200).stays_silent()});
  BOOST_TEST(is_timeout(send_by(to(silent), 200ms), "deadline has passed"));
  scripted_peer deaf({answers(200).reads(0).after(60s)});
  BOOST_TEST(is_timeout(send_by(to(deaf, "PUT"), 200ms, body), "deadline has passed"));
  const black_hole hole;
  auto r = to(silent);
  r.to.port = hole.port();
  BOOST_TEST(is_timeout(send_by(r, 200ms), "connecting to"));
}

BOOST_AUTO_TEST_CASE(a_deadline_is_over_when_its_request_is_over) {
  scripted_peer peer({answers(200, "1"), answers(200, "2").after(600ms)});
  BOOST_TEST(send_by(to(peer), 500ms).value().body == "1");
  BOOST_TEST(send(to(peer)).value().body == "2"); // on the same connection
  BOOST_TEST(peer.accepted() == 1u);
}

// The body of an upload may take longer than the deadline of its beginning. Its end has a deadline of its own.
BOOST_AUTO_TEST_CASE(a_streamed_body_is_not_bound_by_the_deadline_of_its_beginning) {
  scripted_peer peer({answers(200, "done").sends_continue(), answers(200).sends_continue().stays_silent()});
  const auto stream = [&](std::chrono::milliseconds answer_within) -> task<result<http_response>> {
    auto r = to(peer, "PUT");
    r.deadline = steady_clock::now() + 500ms;
    auto begun = co_await http.upload(r, 4);
    if (!begun) co_return begun.error();
    timer pause(co_await asio::this_coro::executor);
    for (const char& byte : std::string_view("body")) {
      pause.expires_after(300ms);
      co_await pause.async_wait(use_task);
      auto written = co_await (*begun)->write({&byte, 1});
      if (!written) co_return written.error();
    }
    co_return co_await (*begun)->finish(true, steady_clock::now() + answer_within);
  };
  BOOST_TEST(run_on(loop, stream(9s)).value().body == "done");
  BOOST_TEST(is_timeout(run_on(loop, stream(200ms)), "deadline has passed"));
}

BOOST_AUTO_TEST_CASE(an_address_that_swallows_packets_costs_a_quarter_of_a_second) {
  const black_hole hole;
  scripted_peer peer({answers(200, "here")});
  const auto resolve = [&](const std::string&, std::uint16_t) -> result<name_lookup::endpoints> {
    return name_lookup::endpoints{hole.at(), {asio::ip::make_address("127.0.0.1"), peer.port()}};
  };
  http_client two_addresses({.ca_file = "", .resolve = resolve});
  const auto answer = run_on(loop, two_addresses.send(to(peer)));
  BOOST_TEST_REQUIRE(answer.has_value(), (answer ? "" : describe(answer.error())));
  BOOST_TEST(answer->body == "here");
}

BOOST_AUTO_TEST_SUITE_END()
