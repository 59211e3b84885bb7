#include "support/black_hole.hpp"
#include "support/certificates.hpp"
#include "support/run_task.hpp"
#include "support/scripted_peer.hpp"
#include "support/temporary_folder.hpp"
#include <postern/core/http/url.hpp>
#include <postern/io/net/http_client.hpp>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <fstream>
#include <span>
#include <thread>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;
using place = step::place;

namespace {

http_request request_to(const http_address& to, std::string method = "GET", std::string target = "/") {
  http_request r;
  r.to = to;
  r.method = std::move(method);
  r.target = std::move(target);
  return r;
}

struct fixture {
  http_client http;
  asio::io_context loop{1}; // each loop has its own connections

  result<http_response> send(const http_request& r, std::string_view body = {}, std::size_t max = 1 << 20) {
    return run_on(loop, http.send(r, body, max));
  }
  result<http_response> get(const scripted_peer& from) { return send(request_to(from.at())); }
};

errc code_of(const result<http_response>& r) {
  BOOST_TEST_REQUIRE(!r.has_value());
  return r.error().code;
}

bool mentions(const failure& f, std::string_view words) { return f.on.find(words) != f.on.npos; }

// Waits until the peer has seen the end of its connections.
bool all_ended(const scripted_peer& peer) {
  for (int n = 0; n < 500 && peer.open() > 0; ++n) std::this_thread::sleep_for(10ms);
  return peer.open() == 0;
}

} // namespace

// --- requests and answers ---------------------------------------------------------------------------

BOOST_FIXTURE_TEST_SUITE(http_client_, fixture)

BOOST_AUTO_TEST_CASE(a_request_has_the_documented_form_on_the_wire) {
  scripted_peer peer({answers(201, "made", {{"ETag", "\"e\""}, {"X-Two", "a"}, {"x-two", "b"}}), answers(200),
                      answers(200), answers(200)});
  auto r = request_to(peer.at(), "PUT", "/a%20b?c=d");
  r.fields = {{"X-One", "1"}, {"Authorization", "AWS4 x, y"}};
  const auto answer = send(r, "hello").value();
  BOOST_TEST(answer.status == 201);
  BOOST_TEST(answer.body == "made");
  BOOST_TEST(answer.field("etag") == "\"e\"");
  BOOST_TEST(answer.field("x-two") == "a");
  BOOST_TEST(answer.field("x-three") == "");
  BOOST_TEST(send(request_to(peer.at(), "POST")).has_value());
  BOOST_TEST(send(request_to(peer.at(), "GET")).has_value());
  BOOST_TEST(send(request_to(peer.at(), "DELETE")).has_value());

  const auto requests = peer.requests();
  BOOST_TEST_REQUIRE(requests.size() == 4u);
  BOOST_TEST(requests[0].line == "PUT /a%20b?c=d HTTP/1.1");
  const header_fields fields{{"host", "127.0.0.1:" + std::to_string(peer.port())},
                             {"x-one", "1"},
                             {"authorization", "AWS4 x, y"},
                             {"content-length", "5"}};
  BOOST_TEST((requests[0].fields == fields));
  BOOST_TEST(requests[0].body == "hello");
  BOOST_TEST(requests[1].field("content-length") == "0"); // a POST without a body sends it, RFC 9110 §8.6
  BOOST_TEST(!requests[2].has("content-length"));
  BOOST_TEST(!requests[3].has("content-length"));
}

BOOST_AUTO_TEST_CASE(a_large_body_arrives_whole) {
  scripted_peer peer({answers(200)});
  std::string body(3 << 20, 'x');
  for (std::size_t n = 0; n < body.size(); n += 1000) body[n] = static_cast<char>('a' + n / 1000 % 26);
  BOOST_TEST(send(request_to(peer.at(), "PUT"), body).has_value());
  BOOST_TEST((peer.requests()[0].body == body));
}

// Each framing that a response can have, and whether the connection can be reused after it.
BOOST_AUTO_TEST_CASE(responses_of_every_framing_are_read_whole_and_byte_by_byte) {
  struct row {
    const char* name;
    std::string method, bytes, body;
    int status;
    bool reused, closes;
  };
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::vector<row> rows{
      {"sized", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, true, false},
      {"empty", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200, true, false},
      {"chunked", "GET", chunked + "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n", "hello, world", 200, true, false},
      {"extensions", "GET", chunked + "005;a=b\r\nhello\r\n0;x\r\nTrailer: 1\r\n\r\n", "hello", 200, true, false},
      {"until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", "hello", 200, false, true},
      {"1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, false, false},
      {"said to close", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", 200,
       false, false},
      {"no content", "DELETE", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, true, false},
      {"not modified", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 304, true, false},
      {"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5497558138880\r\n\r\n", "", 200, true, false},
      {"head, 404", "HEAD", "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n", "", 404, true, false},
      {"interim answers", "PUT",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 "
       "OK\r\nContent-Length: 2\r\n\r\nok",
       "ok", 200, true, false},
      {"no reason", "GET", "HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", "", 503, true, false},
  };
  for (const auto& r : rows) {
    for (const bool dribbled : {false, true}) {
      BOOST_TEST_CONTEXT(r.name << (dribbled ? ", byte by byte" : "")) {
        step first(r.bytes);
        if (dribbled) first.in_pieces();
        if (r.closes) first.closes();
        scripted_peer peer({first, answers(200)});
        const auto answer = send(request_to(peer.at(), r.method));
        BOOST_TEST_REQUIRE(answer.has_value());
        BOOST_TEST(answer->status == r.status);
        BOOST_TEST(answer->body == r.body);
        BOOST_TEST(get(peer).has_value());
        BOOST_TEST(peer.accepted() == (r.reused ? 1u : 2u));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(malformed_and_truncated_responses_are_errors) {
  struct row {
    const char* name;
    std::string bytes;
    errc code;
    bool closes;
  };
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::vector<row> rows{
      {"another protocol", "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", errc::bad_request, false},
      {"no status", "HTTP/1.1 OK\r\n\r\n", errc::bad_request, false},
      {"HTTP/2", "HTTP/2 200 OK\r\n\r\n", errc::bad_request, false},
      {"a field without a name", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", errc::bad_request, false},
      {"a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n", errc::bad_request, false},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", errc::bad_request,
       false},
      {"a chunk that is none", chunked + "xyz\r\n", errc::bad_request, false},
      {"one long field", "HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x'), errc::bad_request, false},
      {"many fields",
       "HTTP/1.1 200 OK\r\n" +
           [] {
             std::string all;
             for (int n = 0; n < 3000; ++n) all += "X-" + std::to_string(n) + ": some value\r\n";
             return all;
           }(),
       errc::bad_request, false},
      {"nothing", "", errc::disconnected, true},
      {"half a head", "HTTP/1.1 200 OK\r\nContent-Le", errc::disconnected, true},
      {"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", errc::disconnected, true},
      {"half a chunk", chunked + "5\r\nhel", errc::disconnected, true},
      {"no last chunk", chunked + "5\r\nhello\r\n", errc::disconnected, true},
      {"an interim answer only", "HTTP/1.1 100 Continue\r\n\r\n", errc::disconnected, true},
  };
  for (const auto& r : rows) {
    for (const bool dribbled : {false, true}) {
      // Beast checks the first piece, and after that only complete headers.
      if (dribbled && !r.closes && r.bytes.find("\r\n\r\n") == r.bytes.npos) continue;
      BOOST_TEST_CONTEXT(r.name << (dribbled ? ", byte by byte" : "")) {
        step only(r.bytes);
        if (dribbled) only.in_pieces();
        if (r.closes) only.closes();
        scripted_peer peer({only});
        const auto answer = get(peer);
        BOOST_TEST((code_of(answer) == r.code), describe(answer.error()));
        BOOST_TEST(mentions(answer.error(), peer.url()));
        BOOST_TEST(all_ended(peer)); // the connection cannot be reused
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_response_up_to_the_limit_is_accepted) {
  const std::string body(1000, 'x');
  const std::vector<std::pair<const char*, step>> kinds{
      {"sized", answers(200, body)},
      {"chunked", step("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n" + body.substr(0, 500) +
                       "\r\n1f4\r\n" + body.substr(500) + "\r\n0\r\n\r\n")},
      {"until the end", step("HTTP/1.1 200 OK\r\n\r\n" + body).closes()},
  };
  for (const auto& [name, kind] : kinds) {
    for (const bool dribbled : {false, true}) {
      BOOST_TEST_CONTEXT(name << (dribbled ? ", byte by byte" : "")) {
        auto s = kind;
        if (dribbled) s.in_pieces();
        scripted_peer peer({s, s});
        BOOST_TEST(send(request_to(peer.at()), {}, 1000).value().body == body);
        const auto larger = send(request_to(peer.at()), {}, 999);
        BOOST_TEST((code_of(larger) == errc::payload_too_large));
        BOOST_TEST(mentions(larger.error(), "999"));
      }
    }
  }
  // With a Content-Length, the response is rejected before its bytes arrive.
  scripted_peer endless({step("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")});
  BOOST_TEST((code_of(get(endless)) == errc::payload_too_large));
}

// --- connections ------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(connections_are_reused) {
  const scripted_peer::script always = [](const received_request&) { return answers(200, "x"); };
  scripted_peer peer(always);
  for (int n = 0; n < 20; ++n) BOOST_TEST(get(peer).has_value());
  BOOST_TEST(peer.accepted() == 1u);

  http_client another; // another client may trust other authorities
  BOOST_TEST(run_on(loop, another.send(request_to(peer.at()))).has_value());
  BOOST_TEST(peer.accepted() == 2u);

  const auto at_once = [&]() -> task<> {
    using namespace asio::experimental::awaitable_operators;
    const auto r = request_to(peer.at());
    auto both = http.send(r) && http.send(r);
    const auto [a, b] = co_await std::move(both);
    BOOST_TEST((a.has_value() && b.has_value()));
  };
  run_on(loop, at_once());
  BOOST_TEST(peer.accepted() == 3u); // one reused, one new
  run_on(loop, at_once());
  BOOST_TEST(peer.accepted() == 3u);
}

BOOST_AUTO_TEST_CASE(each_thread_has_its_own_connections) {
  const scripted_peer::script echo = [](const received_request& r) { return answers(200, r.target()); };
  scripted_peer peer(echo);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      asio::io_context own{1};
      for (int n = 0; n < 50; ++n) {
        const auto target = "/" + std::to_string(t) + "/" + std::to_string(n);
        const auto answer = run_on(own, http.send(request_to(peer.at(), "GET", target)));
        if (!answer || answer->body != target) ++wrong;
      }
    });
  for (auto& t : threads) t.join();
  BOOST_TEST(wrong == 0);
  BOOST_TEST(peer.accepted() == 4u);
}

BOOST_AUTO_TEST_CASE(a_closed_idle_connection_is_replaced_unnoticed) {
  // The server has closed already, and the client can see that.
  scripted_peer peer({answers(200, "1").closes(), answers(200, "2")});
  BOOST_TEST(get(peer).value().body == "1");
  BOOST_TEST(all_ended(peer));
  BOOST_TEST(get(peer).value().body == "2");
  BOOST_TEST(peer.accepted() == 2u);
}

BOOST_AUTO_TEST_CASE(a_request_is_sent_again_when_the_server_closes_a_reused_connection) {
  for (const std::size_t size : {0u, 1000u, 300'000u}) {
    BOOST_TEST_CONTEXT("body of " << size) {
      const std::string body(size, 'b');
      scripted_peer peer({answers(200, "1"), answers(200).cut(place::head), answers(200, "3")});
      BOOST_TEST(send(request_to(peer.at(), "PUT"), body).value().body == "1");
      BOOST_TEST(send(request_to(peer.at(), "PUT", "/second"), body).value().body == "3");
      const auto requests = peer.requests();
      BOOST_TEST_REQUIRE(requests.size() == 3u);
      BOOST_TEST(requests[2].line == "PUT /second HTTP/1.1");
      BOOST_TEST((requests[2].body == body));
      BOOST_TEST(peer.accepted() == 2u);
    }
  }
}

BOOST_AUTO_TEST_CASE(only_a_reused_connection_without_a_response_byte_is_retried) {
  for (const auto at : {place::head, place::body, place::answer, place::middle}) {
    BOOST_TEST_CONTEXT("cut at " << static_cast<int>(at)) {
      scripted_peer peer({answers(200, "an answer").cut(at)}); // a new connection: once
      BOOST_TEST((code_of(send(request_to(peer.at(), "POST"), "1234")) == errc::disconnected));
    }
  }
  scripted_peer peer({answers(200), answers(200, "an answer").cut(place::middle)}); // the response has begun
  BOOST_TEST(get(peer).has_value());
  BOOST_TEST((code_of(get(peer)) == errc::disconnected));
  scripted_peer twice({answers(200), answers(200).cut(place::head), answers(200).cut(place::head)});
  BOOST_TEST(get(twice).has_value());
  BOOST_TEST((code_of(get(twice)) == errc::disconnected)); // there is no third try
}

BOOST_AUTO_TEST_CASE(unsolicited_bytes_are_not_the_next_response) {
  scripted_peer peer(
      {step("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"),
       answers(200, "2")});
  BOOST_TEST(get(peer).value().body == "1");
  BOOST_TEST(get(peer).value().body == "2");
  BOOST_TEST(peer.accepted() == 2u);
}

BOOST_AUTO_TEST_CASE(an_early_refusal_is_read_although_the_body_was_not_taken) {
  const std::string body(8 << 20, 'b'); // more than sockets hold
  scripted_peer peer({answers(413, "too much").reads(1000).closes(100ms), answers(200)});
  const auto answer = send(request_to(peer.at(), "PUT"), body);
  BOOST_TEST_REQUIRE(answer.has_value());
  BOOST_TEST(answer->status == 413);
  BOOST_TEST(answer->body == "too much");
  BOOST_TEST(get(peer).has_value());
  BOOST_TEST(peer.accepted() == 2u);
}

// --- deadlines --------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_silent_server_times_out) {
  const std::vector<std::pair<const char*, step>> kinds{
      {"no answer", answers(200).stays_silent()},
      {"half an answer", step("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")},
      {"half a head", step("HTTP/1.1 200 OK\r\nContent-Le")},
  };
  for (const auto& [name, s] : kinds) {
    BOOST_TEST_CONTEXT(name) {
      scripted_peer peer({s});
      auto r = request_to(peer.at());
      r.idle_timeout = 100ms;
      const auto answer = send(r);
      BOOST_TEST((code_of(answer) == errc::timed_out));
      BOOST_TEST(mentions(answer.error(), peer.url()));
      BOOST_TEST(all_ended(peer));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_slow_response_does_not_time_out) {
  scripted_peer peer({answers(200, std::string(50, 'x')).in_pieces(30ms)}); // 2.7 s in all
  auto r = request_to(peer.at());
  r.idle_timeout = 2000ms;
  BOOST_TEST(send(r).has_value());
}

BOOST_AUTO_TEST_CASE(a_server_that_does_not_read_the_body_times_out) {
  const std::string body(8 << 20, 'b');
  scripted_peer peer({answers(200).reads(0).after(60s)});
  auto r = request_to(peer.at(), "PUT");
  r.idle_timeout = 50ms;
  BOOST_TEST((code_of(send(r, body)) == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(connecting_times_out) {
  const black_hole hole;
  auto r = request_to({false, "127.0.0.1", hole.port()});
  r.connect_timeout = 100ms;
  const auto answer = send(r);
  BOOST_TEST((code_of(answer) == errc::timed_out));
  BOOST_TEST(mentions(answer.error(), "connecting to " + r.to.origin()));
}

BOOST_AUTO_TEST_CASE(an_unreachable_server_is_unavailable) {
  asio::io_context other;
  asio::ip::tcp::acceptor closed(other, {asio::ip::make_address("127.0.0.1"), 0}, true);
  const auto port = closed.local_endpoint().port();
  closed.close();
  const auto refused = send(request_to({false, "127.0.0.1", port}));
  BOOST_TEST((code_of(refused) == errc::unavailable));
  BOOST_TEST(mentions(refused.error(), "http://127.0.0.1:" + std::to_string(port)));
  BOOST_TEST(mentions(refused.error(), "refused"));

  const std::string no_name(64, 'a'); // a label has 63 bytes at most, so no name server is asked
  const auto unknown = send(request_to({false, no_name, 80}));
  BOOST_TEST((code_of(unknown) == errc::unavailable));
  BOOST_TEST(mentions(unknown.error(), no_name));
}

BOOST_AUTO_TEST_CASE(names_below_localhost_resolve_to_loopback) {
  scripted_peer peer({answers(200)});
  BOOST_TEST(send(request_to({false, "media.localhost", peer.port()})).has_value());
  BOOST_TEST(peer.requests()[0].field("host") == "media.localhost:" + std::to_string(peer.port()));
}

BOOST_AUTO_TEST_CASE(ipv6_addresses_are_connected) {
  scripted_peer peer({answers(200)}, {nullptr, "::1", 0});
  const auto url = parse_web_url(peer.url() + "/x").value();
  BOOST_TEST(send(request_to(url.server)).has_value());
  BOOST_TEST(peer.requests()[0].field("host") == "[::1]:" + std::to_string(peer.port()));
}

// --- streamed bodies --------------------------------------------------------------------------------

namespace {

task<result<http_response>> streamed(http_client& http, http_request r, std::vector<std::string> pieces,
                                     bool* accepts_body = nullptr) {
  std::uint64_t length = 0;
  for (const auto& p : pieces) length += p.size();
  auto begun = co_await http.upload(r, length);
  if (!begun) co_return begun.error();
  if (accepts_body) *accepts_body = (*begun)->accepts_body();
  if (!(*begun)->accepts_body()) co_return co_await (*begun)->finish(false);
  for (const auto& p : pieces) {
    const std::span<const char> bytes(p);
    auto written = co_await (*begun)->write(bytes);
    if (!written) co_return co_await (*begun)->finish(false);
  }
  co_return co_await (*begun)->finish();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_body_is_streamed_after_100_continue) {
  scripted_peer peer({answers(200, "ok").sends_continue(), answers(200, "again")});
  bool accepts_body = false;
  const auto answer =
      run_on(loop, streamed(http, request_to(peer.at(), "PUT"), {"hello", ", ", "world"}, &accepts_body));
  BOOST_TEST(answer.value().body == "ok");
  BOOST_TEST(accepts_body);
  BOOST_TEST(get(peer).value().body == "again");
  const auto requests = peer.requests();
  BOOST_TEST(requests[0].field("expect") == "100-continue");
  BOOST_TEST(requests[0].field("content-length") == "12");
  BOOST_TEST(requests[0].body == "hello, world");
  BOOST_TEST(peer.accepted() == 1u);
}

BOOST_AUTO_TEST_CASE(a_refusal_comes_before_any_byte_of_the_body) {
  for (const int status : {307, 403, 503}) {
    scripted_peer peer({answers(status, "no").reads(0), answers(200)});
    bool accepts_body = true;
    const auto answer = run_on(loop, streamed(http, request_to(peer.at(), "PUT"), {"hello"}, &accepts_body));
    BOOST_TEST(answer.value().status == status);
    BOOST_TEST(!accepts_body);
    BOOST_TEST(get(peer).has_value()); // on a new connection: the first one still expects the body
    BOOST_TEST(peer.accepted() == 2u);
    BOOST_TEST(peer.requests()[0].body == "");
  }
}

BOOST_AUTO_TEST_CASE(the_body_is_sent_after_three_seconds_without_100_continue_over_tcp_and_tls) {
  const temporary_folder folder;
  const certificate authority("Test authority", "");
  authority.save(folder.path() / "ca.pem");
  const certificate server("server", "IP:127.0.0.1", &authority);
  const auto tls = server.server();
  scripted_peer plain({answers(200, "plain"), answers(200)}),
      covered({answers(200, "covered"), answers(200)}, {tls.get()});
  http_client trusting({folder.path() / "ca.pem"});
  const auto both = [&]() -> task<> {
    using namespace asio::experimental::awaitable_operators;
    const std::vector<std::string> pieces{"hello", ", world"};
    auto each = streamed(trusting, request_to(plain.at(), "PUT"), pieces) &&
                streamed(trusting, request_to(covered.at(), "PUT"), pieces);
    const auto begun = std::chrono::steady_clock::now();
    const auto [a, b] = co_await std::move(each);
    BOOST_TEST((std::chrono::steady_clock::now() - begun >= 2900ms));
    BOOST_TEST(a.value().body == "plain");
    BOOST_TEST(b.value().body == "covered");
    const auto to_plain = request_to(plain.at()), to_covered = request_to(covered.at());
    const auto again = co_await trusting.send(to_plain);
    const auto again_covered = co_await trusting.send(to_covered);
    BOOST_TEST((again.has_value() && again_covered.has_value()));
  };
  asio::io_context own{1};
  run_on(own, both());
  BOOST_TEST(plain.requests()[0].body == "hello, world");
  BOOST_TEST(covered.requests()[0].body == "hello, world");
  BOOST_TEST(plain.accepted() == 1u);
  BOOST_TEST(covered.accepted() == 1u);
}

BOOST_AUTO_TEST_CASE(a_dead_reused_connection_does_not_fail_a_streamed_request) {
  scripted_peer peer({answers(200), answers(200).cut(place::head), answers(200, "ok").sends_continue()});
  BOOST_TEST(get(peer).has_value());
  const auto answer = run_on(loop, streamed(http, request_to(peer.at(), "PUT"), {"hello"}));
  BOOST_TEST(answer.value().body == "ok");
  scripted_peer fresh({answers(200).cut(place::head)}); // a new connection that breaks is an error
  const auto broken = run_on(loop, streamed(http, request_to(fresh.at(), "PUT"), {"hello"}));
  BOOST_TEST((code_of(broken) == errc::disconnected));
}

BOOST_AUTO_TEST_CASE(a_response_in_the_middle_of_the_body_is_returned) {
  const std::string piece(1 << 20, 'p');
  scripted_peer peer({answers(507, "full").sends_continue().reads(1000).closes(100ms), answers(200)});
  const auto answer = run_on(loop, streamed(http, request_to(peer.at(), "PUT"), std::vector<std::string>(20, piece)));
  BOOST_TEST_REQUIRE(answer.has_value());
  BOOST_TEST(answer->status == 507);
  BOOST_TEST(get(peer).has_value());
  BOOST_TEST(peer.accepted() == 2u);
}

BOOST_AUTO_TEST_CASE(destroying_a_streamed_request_cuts_its_connection) {
  scripted_peer peer({answers(200).sends_continue()});
  const auto part = [&]() -> task<> {
    const auto r = request_to(peer.at(), "PUT");
    auto begun = co_await http.upload(r, 1000);
    const std::span<const char> some("some", 4);
    auto written = co_await (*begun)->write(some);
    BOOST_TEST(written.has_value());
  };
  run_on(loop, part());
  BOOST_TEST(all_ended(peer));
}

// --- stopping ---------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(stop_cancels_running_and_later_requests) {
  const scripted_peer::script waits = [](const received_request& r) {
    return r.target() == "/" ? answers(200).stays_silent() : answers(200);
  };
  scripted_peer peer(waits);
  std::vector<result<http_response>> ended;
  const auto one = [&](http_request r) -> task<> { ended.push_back(co_await http.send(r)); };
  const auto streaming = [&](http_request r) -> task<> {
    std::vector<std::string> pieces{"hello"};
    ended.push_back(co_await streamed(http, std::move(r), std::move(pieces)));
  };
  const auto all = [&]() -> task<> {
    group g(loop.get_executor());
    g.start(one(request_to(peer.at())));
    g.start(streaming(request_to(peer.at(), "PUT")));
    timer t(loop.get_executor());
    while (peer.requests().size() < 2) {
      t.expires_after(5ms);
      co_await t.async_wait(use_task);
    }
    g.start(one(request_to(peer.at()))); // still connecting
    http_client::stop(loop);
    BOOST_TEST(co_await g.wait(20s));
    const auto other = request_to(peer.at(), "GET", "/other");
    ended.push_back(co_await http.send(other));
  };
  run_on(loop, all());
  BOOST_TEST_REQUIRE(ended.size() == 4u);
  for (const auto& e : ended) BOOST_TEST((code_of(e) == errc::cancelled), describe(e.error()));

  auto cleaning = request_to(peer.at(), "DELETE", "/upload");
  cleaning.is_cleanup = true;
  BOOST_TEST(send(cleaning).has_value());

  asio::io_context another{1}; // other threads go on
  BOOST_TEST(run_on(another, http.send(request_to(peer.at(), "GET", "/other"))).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

// --- TLS --------------------------------------------------------------------------------------------

namespace {

struct tls_fixture {
  temporary_folder folder;
  certificate authority{"Test authority", ""};
  http_client http{[this] {
    authority.save(folder.path() / "ca.pem");
    return http_client_options{folder.path() / "ca.pem"};
  }()};
  asio::io_context loop{1};

  result<http_response> get(const scripted_peer& from, const std::string& host) {
    return run_on(loop, http.send(request_to({true, host, from.port()})));
  }
};

// The error text when the server presents this certificate.
std::string refusal(tls_fixture& f, const certificate& shown, const std::string& host) {
  const auto tls = shown.server();
  scripted_peer peer(std::vector<step>{}, {tls.get()});
  const auto answer = f.get(peer, host);
  BOOST_TEST_REQUIRE(!answer.has_value());
  BOOST_TEST((answer.error().code == errc::unavailable));
  BOOST_TEST(mentions(answer.error(), host));
  return answer.error().on;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(http_client_tls, tls_fixture)

BOOST_AUTO_TEST_CASE(a_trusted_server_is_accepted_and_gets_its_name_as_sni) {
  const certificate server("server", "DNS:localhost,DNS:media.localhost", &authority);
  const auto tls = server.server();
  scripted_peer peer({answers(200, "1"), answers(200, "2"), answers(200, "3")}, {tls.get()});
  BOOST_TEST(get(peer, "localhost").value().body == "1");
  BOOST_TEST(get(peer, "localhost").value().body == "2");
  BOOST_TEST(get(peer, "media.localhost").value().body == "3");
  const auto requests = peer.requests();
  BOOST_TEST(requests[0].server_name == "localhost");
  BOOST_TEST(requests[1].connection == 0u); // reused
  BOOST_TEST(requests[2].server_name == "media.localhost");
}

BOOST_AUTO_TEST_CASE(a_server_can_have_a_certificate_for_an_address) {
  const certificate server("server", "IP:127.0.0.1,IP:::1", &authority);
  const auto tls = server.server();
  scripted_peer four({answers(200)}, {tls.get()}), six({answers(200)}, {tls.get(), "::1"});
  BOOST_TEST(get(four, "127.0.0.1").has_value());
  const auto by_six = get(six, "[::1]");
  BOOST_TEST(by_six.has_value(), (by_six ? "" : by_six.error().on));
  BOOST_TEST(four.requests()[0].server_name == ""); // RFC 6066 §3: names only
  BOOST_TEST(six.requests().at(0).server_name == "");
}

BOOST_AUTO_TEST_CASE(a_closed_idle_tls_connection_is_replaced_unnoticed) {
  const certificate server("server", "IP:127.0.0.1", &authority);
  const auto tls = server.server();
  scripted_peer peer({answers(200), answers(200).cut(place::head), answers(200, "3").closes(), answers(200, "4")},
                     {tls.get()});
  BOOST_TEST(get(peer, "127.0.0.1").has_value());
  BOOST_TEST(get(peer, "127.0.0.1").value().body == "3");
  BOOST_TEST(all_ended(peer));
  BOOST_TEST(get(peer, "127.0.0.1").value().body == "4");
}

BOOST_AUTO_TEST_CASE(a_certificate_error_names_the_reason) {
  const auto has = [](const std::string& text, const char* words) {
    BOOST_TEST(text.find(words) != text.npos, "\"" << words << "\" is not in: " << text);
  };
  has(refusal(*this, certificate("server", "DNS:other.example", &authority), "localhost"), "hostname mismatch");
  has(refusal(*this, certificate("localhost", "DNS:other.example", &authority), "localhost"), "hostname mismatch");
  has(refusal(*this, certificate("server", "DNS:localhost", &authority), "127.0.0.1"), "IP address mismatch");
  has(refusal(*this, certificate("server", "IP:127.0.0.2", &authority), "127.0.0.1"), "IP address mismatch");
  has(refusal(*this, certificate("server", "DNS:localhost"), "localhost"), "self-signed certificate");
  has(refusal(*this, certificate("server", "DNS:localhost", &authority, 1), "localhost"), "certificate has expired");
  const certificate stranger("Another authority", "");
  has(refusal(*this, certificate("server", "DNS:localhost", &stranger), "localhost"), "unable to get local issuer");
}

BOOST_AUTO_TEST_CASE(a_server_without_tls_is_an_error) {
  scripted_peer peer(std::vector<step>{});
  const certificate server("server", "IP:127.0.0.1", &authority);
  asio::io_context other;
  asio::ip::tcp::acceptor plain(other, {asio::ip::make_address("127.0.0.1"), 0}, true);
  std::thread greets([&] {
    auto s = plain.accept();
    boost::system::error_code ec;
    asio::write(s, asio::buffer("HTTP/1.1 400 Bad Request\r\n\r\n", 28), ec);
    char byte;
    while (!ec) s.read_some(asio::buffer(&byte, 1), ec);
  });
  const auto answer = run_on(loop, http.send(request_to({true, "127.0.0.1", plain.local_endpoint().port()})));
  greets.join();
  BOOST_TEST_REQUIRE(!answer.has_value());
  BOOST_TEST((answer.error().code == errc::unavailable));
  BOOST_TEST(mentions(answer.error(), "wrong version number"));
}

BOOST_AUTO_TEST_CASE(an_unanswered_handshake_times_out) {
  asio::io_context other;
  asio::ip::tcp::acceptor silent(other, {asio::ip::make_address("127.0.0.1"), 0}, true); // the kernel accepts
  auto r = request_to({true, "127.0.0.1", silent.local_endpoint().port()});
  r.connect_timeout = 100ms;
  const auto answer = run_on(loop, http.send(r));
  BOOST_TEST_REQUIRE(!answer.has_value());
  BOOST_TEST((answer.error().code == errc::timed_out));
  BOOST_TEST(mentions(answer.error(), "TLS handshake with 127.0.0.1"));
}

BOOST_AUTO_TEST_CASE(an_unreadable_ca_file_is_named) {
  const auto bad = folder.path() / "bad.pem";
  std::ofstream(bad) << "-----BEGIN CERTIFICATE-----\nnot one\n";
  for (const auto& path : {bad, folder.path() / "absent.pem"}) {
    try {
      http_client never({path});
      BOOST_ERROR("made");
    } catch (const std::runtime_error& e) {
      BOOST_TEST(std::string_view(e.what()).find(path.string()) != std::string_view::npos, e.what());
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
