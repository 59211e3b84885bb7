// The server and its sessions over loopback, with small limits and an endpoint of the test's own.
#include "support/captured_log.hpp"
#include "support/raw_client.hpp"
#include "support/test_request.hpp"
#include "support/wait_until.hpp"
#include <postern/base/metrics.hpp>
#include <postern/front/http_server.hpp>
#include <postern/front/listen_address.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <set>
#include <stdexcept>
#include <thread>

using namespace postern;
using namespace postern::front;
using namespace std::chrono_literals;
using test::raw_client;

namespace {

using steady = std::chrono::steady_clock;

task<> pause(std::chrono::milliseconds d) {
  boost::system::error_code ec;
  timer t(co_await asio::this_coro::executor, d);
  co_await t.async_wait(asio::redirect_error(use_task, ec));
}

// One server on one thread. A test changes the options, then calls start.
struct fixture {
  server_options options;
  std::uint64_t max_connections = 0, max_per_address = 0;
  std::atomic<int> requests = 0; // that reached the endpoint
  // GET returns the path; POST returns the body that it read.
  endpoint answer = [this](request& r) { return echo(r); };

  asio::io_context loop{1};
  group tasks{loop.get_executor()};
  std::optional<connection_count> count;
  resources shared{{}};
  std::unique_ptr<http_server> server;
  std::thread thread;
  std::uint16_t port = 0; // known after start

  task<response> echo(request& r) {
    ++requests;
    std::string text(r.path);
    if (r.method == http::verb::post) {
      auto body = co_await read_text(r, 1 << 20);
      if (!body) co_return make_problem(body.error(), r.id);
      text = *body;
    }
    co_return make_response(200, "text/plain", text);
  }

  fixture() {
    options.limits.header_timeout = 5s;
    options.limits.idle_timeout = 5s;
    options.limits.body = {5s, 0};
  }
  void start() {
    count.emplace(max_connections, max_per_address);
    server = std::make_unique<http_server>(loop, parse_listen_address("127.0.0.1:0"), options, *count, shared,
                                           [this](request& r) { return answer(r); });
    port = server->local_endpoint().port();
    tasks.start(server->run());
    thread = std::thread([this] { loop.run(); });
  }

  // Drains as the node does. Becomes ready when the drain has ended.
  std::future<void> drain(
      std::chrono::milliseconds max, std::function<void()> on_cut = [] {}) {
    auto ended = std::make_shared<std::promise<void>>();
    auto future = ended->get_future();
    asio::post(loop, [this, max, on_cut, ended] { tasks.start(run_drain(max, on_cut, ended)); });
    return future;
  }
  task<> run_drain(std::chrono::milliseconds max, std::function<void()> on_cut,
                   std::shared_ptr<std::promise<void>> ended) {
    co_await server->drain(steady::now() + max, on_cut);
    ended->set_value();
  }
  ~fixture() {
    if (!thread.joinable()) return;
    drain(0ms);
    thread.join();
  }
};

std::string get(const std::string& path, const std::string& more = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + more + "\r\n";
}
std::string post(const std::string& body, const std::string& more = "") {
  return "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" +
         body;
}

int exceptions_counted() {
  const auto all = metrics::print_all();
  const std::string name = "\npostern_exceptions_total ";
  const auto at = all.find(name);
  return at == all.npos ? -1 : std::stoi(all.substr(at + name.size()));
}

} // namespace

// --- requests and responses ------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(a_connection_serves_request_after_request, fixture) {
  start();
  raw_client client(port);
  std::set<std::string> ids;
  for (const char* path : {"/a", "/b", "/c"}) {
    const auto r = client.ask(get(path));
    BOOST_TEST(r.status == 200);
    BOOST_TEST(r.body == path);
    BOOST_TEST(!r.closes());
    ids.insert(r.field("X-Request-Id"));
  }
  BOOST_TEST(client.ask(post("hello")).body == "hello");
  BOOST_TEST(client.ask(get("/d")).body == "/d");
  BOOST_TEST(ids.size() == 3u); // each request has its own id
}

BOOST_FIXTURE_TEST_CASE(pipelined_requests_are_answered_in_order, fixture) {
  start();
  raw_client client(port);
  client.send(get("/1") + post("two") + get("/3"));
  for (const char* expected : {"/1", "two", "/3"}) BOOST_TEST(client.read().body == expected);
}

BOOST_FIXTURE_TEST_CASE(a_request_may_arrive_byte_by_byte, fixture) {
  start();
  raw_client client(port);
  for (const char c : "\r\n" + post("slowly")) client.send({&c, 1}); // with an empty line before (RFC 9112 §2.2)
  BOOST_TEST(client.read().body == "slowly");
}

BOOST_FIXTURE_TEST_CASE(a_target_in_absolute_form_is_taken_by_its_path, fixture) {
  start();
  raw_client client(port);
  BOOST_TEST(client.ask(get("http://other.example/a/b?c=d")).body == "/a/b");
  BOOST_TEST(client.ask(get("http://other.example")).body == "/");
}

BOOST_FIXTURE_TEST_CASE(head_has_the_length_without_the_body, fixture) {
  start();
  raw_client client(port);
  client.send("HEAD /path HTTP/1.1\r\nHost: test\r\n\r\n");
  const auto r = client.read(true);
  BOOST_TEST(r.status == 200);
  BOOST_TEST(r.field("Content-Length") == "5");
  BOOST_TEST(client.ask(get("/next")).body == "/next"); // no byte of a body came between
}

BOOST_FIXTURE_TEST_CASE(connection_close_is_answered_with_connection_close, fixture) {
  start();
  raw_client asks(port), old(port);
  BOOST_TEST(asks.ask(get("/", "Connection: close\r\n")).closes());
  BOOST_TEST(asks.is_ended());
  BOOST_TEST(old.ask("GET / HTTP/1.0\r\n\r\n").closes());
  BOOST_TEST(old.is_ended());
}

BOOST_FIXTURE_TEST_CASE(a_body_in_pieces_goes_on_until_the_connection_ends, fixture) {
  answer = [](request&) -> task<response> {
    auto made = make_response(200, "text/event-stream", "first ");
    auto left = std::make_shared<int>(3);
    made.next_piece = [left]() -> task<std::optional<std::string>> {
      if (--*left < 0) co_return std::nullopt;
      co_return *left == 1 ? "" : "more "; // an empty piece is skipped
    };
    co_return made;
  };
  start();
  raw_client client(port);
  const auto r = client.ask(get("/"));
  BOOST_TEST(r.field("Content-Length") == "(absent)");
  BOOST_TEST(r.closes());
  BOOST_TEST(r.body == "first more more ");
}

// A body of 11 bytes in pieces, or of fewer or more bytes than its length: the path says which.
task<response> eleven_bytes(request& r) {
  auto made = make_response(200, "text/plain", "first");
  made.length = 11;
  const bool is_long = r.path == "/long";
  auto left = std::make_shared<int>(r.path == "/short" ? 2 : 3);
  made.next_piece = [left, is_long]() -> task<std::optional<std::string>> {
    if (--*left < 0) co_return std::nullopt;
    if (is_long) co_return "more than fits";
    co_return *left % 2 ? "ab" : "cd";
  };
  co_return made;
}

BOOST_FIXTURE_TEST_CASE(a_body_in_pieces_of_known_length_leaves_the_connection_open, fixture) {
  answer = eleven_bytes;
  start();
  raw_client client(port);
  for (int n = 0; n < 2; ++n) {
    const auto r = client.ask(get("/whole"));
    BOOST_TEST(r.field("Content-Length") == "11");
    BOOST_TEST(r.body == "firstcdabcd");
    BOOST_TEST(!r.closes());
  }
  client.send("HEAD /whole HTTP/1.1\r\nHost: test\r\n\r\n");
  BOOST_TEST(client.read(true).field("Content-Length") == "11");
  BOOST_TEST(client.ask(get("/whole", "Connection: close\r\n")).closes());
  BOOST_TEST(client.is_ended());
}

// Nothing that follows may be taken for the rest of the body.
BOOST_FIXTURE_TEST_CASE(a_body_that_is_not_as_long_as_its_length_breaks_the_connection_off, fixture) {
  answer = eleven_bytes;
  start();
  for (const char* path : {"/short", "/long"}) {
    raw_client client(port);
    const auto r = client.ask(get(path) + get("/whole"));
    BOOST_TEST(r.field("Content-Length") == "11");
    BOOST_TEST(r.body.size() <= 11u);
    if (path == std::string("/short")) BOOST_TEST(r.body == "firstabcd");
    BOOST_TEST(client.is_ended());
  }
}

BOOST_FIXTURE_TEST_CASE(an_exception_in_an_endpoint_is_500_and_the_connection_goes_on, fixture) {
  answer = [this](request& r) -> task<response> {
    if (r.path == "/unread") throw std::logic_error("a bug of the test");
    auto made = co_await echo(r);
    if (r.path == "/bug") throw std::logic_error("a bug of the test");
    if (r.path == "/odd") throw 5;
    co_return made;
  };
  start();
  raw_client client(port);
  const auto with_body = [](const std::string& path) {
    return "POST " + path + " HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nbody";
  };
  for (const auto& bug : {get("/bug"), get("/odd"), get("/unread"), with_body("/bug")}) {
    test::captured_log log;
    const auto before = exceptions_counted();
    const auto r = client.ask(bug);
    BOOST_TEST(r.status == 500);
    BOOST_TEST(r.field("Content-Type") == "application/problem+json");
    BOOST_TEST(r.body.find("\"request_id\":\"" + r.field("X-Request-Id") + '"') != r.body.npos);
    BOOST_TEST(r.body.find("a bug of the test") == r.body.npos);
    BOOST_TEST(!r.closes());
    const auto text = log.text();
    BOOST_TEST(text.find("level=error") != text.npos);
    BOOST_TEST(text.find("request=" + r.field("X-Request-Id")) != text.npos);
    BOOST_TEST((text.find("a bug of the test") != text.npos || text.find("unknown type") != text.npos));
    BOOST_TEST(exceptions_counted() == before + 1);
    BOOST_TEST(client.ask(get("/a")).body == "/a"); // on the same connection
  }
  // The rest of a body that was not read could be taken for the next request.
  const auto cut = client.ask(with_body("/unread"));
  BOOST_TEST(cut.status == 500);
  BOOST_TEST(cut.closes());
  BOOST_TEST(client.is_ended());
}

// --- framing ----------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(after_a_framing_error_nothing_more_is_read_as_a_request, fixture) {
  start();
  for (const std::string broken :
       {"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: test\nX: y\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "nonsense\r\n\r\n"}) {
    raw_client client(port);
    const auto r = client.ask(broken + get("/smuggled"));
    BOOST_TEST(r.status == 400, broken);
    BOOST_TEST(r.closes());
    BOOST_TEST(client.is_ended());
  }
  BOOST_TEST(requests == 0);
}

BOOST_FIXTURE_TEST_CASE(a_header_over_its_limit_is_431, fixture) {
  options.limits.request_header = 1024;
  start();
  raw_client client(port);
  const auto r = client.ask(get("/", "X: " + std::string(1024, 'x') + "\r\n"));
  BOOST_TEST(r.status == 431);
  BOOST_TEST(r.closes());
  BOOST_TEST(client.is_ended());
  raw_client fits(port);
  BOOST_TEST(fits.ask(get("/", "X: " + std::string(900, 'x') + "\r\n")).status == 200);
}

// --- bodies -----------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(a_body_that_is_not_read_is_discarded_and_the_connection_closes, fixture) {
  answer = [this](request&) -> task<response> {
    ++requests;
    co_return make_response(403, "text/plain", "no");
  };
  start();
  raw_client client(port);
  // More than the sockets' buffers hold: the response must arrive although the client still sends.
  const std::string body(8 << 20, 'x');
  BOOST_TEST(client.send(post(body) + get("/next")));
  const auto r = client.read();
  BOOST_TEST(r.status == 403);
  BOOST_TEST(r.body == "no");
  BOOST_TEST(r.closes());
  BOOST_TEST(client.is_ended()); // an end, not a reset
  BOOST_TEST(requests == 1);     // no byte of the body was taken for a request
}

BOOST_FIXTURE_TEST_CASE(a_body_begins_with_100_continue_only_when_it_is_read, fixture) {
  answer = [this](request& r) -> task<response> {
    if (r.path == "/refuse") co_return make_response(403, "text/plain", "no");
    co_return co_await echo(r);
  };
  start();
  const std::string more = " HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  raw_client reads(port), refuses(port);
  BOOST_TEST(reads.ask("POST /" + more).status == 100);
  BOOST_TEST(reads.ask("hello").body == "hello");
  BOOST_TEST(refuses.ask("POST /refuse" + more).status == 403);
}

BOOST_FIXTURE_TEST_CASE(a_silent_body_is_408, fixture) {
  options.limits.body.max_silence = 50ms;
  start();
  raw_client client(port);
  const auto r = client.ask("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhe");
  BOOST_TEST(r.status == 408);
  BOOST_TEST(r.closes());
  BOOST_TEST(client.is_ended());
}

// --- timeouts ---------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(a_header_has_one_deadline_however_slowly_it_arrives, fixture) {
  options.limits.header_timeout = 300ms;
  start();
  raw_client client(port);
  const auto begin = steady::now();
  // A byte every 20 ms would need 10 s for this header.
  const auto header = get("/", "X: " + std::string(500, 'x') + "\r\n");
  std::size_t sent = 0;
  while (sent < header.size() && steady::now() - begin < 2s && client.send({&header[sent], 1})) {
    ++sent;
    std::this_thread::sleep_for(20ms);
  }
  BOOST_TEST(client.read().status == 408);
  BOOST_TEST(requests == 0);
}

BOOST_FIXTURE_TEST_CASE(an_idle_connection_ends_without_a_response, fixture) {
  options.limits.idle_timeout = 50ms;
  start();
  raw_client fresh(port), used(port);
  BOOST_TEST(used.ask(get("/")).status == 200);
  BOOST_TEST(fresh.is_gone());
  BOOST_TEST(used.is_gone());
}

// --- limits of connections --------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(a_connection_over_the_total_is_503_until_another_ends, fixture) {
  max_connections = 1;
  start();
  {
    raw_client first(port);
    BOOST_TEST(first.send(get("/").substr(0, 10))); // a request has begun
    BOOST_TEST(test::wait_until([&] { return count->is_full(); }));
    raw_client second(port);
    const auto r = second.read(); // before it has sent anything
    BOOST_TEST(r.status == 503);
    BOOST_TEST(test::is_spread(r.field("Retry-After"), 5));
    BOOST_TEST(r.field("Access-Control-Allow-Origin") == "*"); // a page sees why, and when to come back
    BOOST_TEST(r.closes());
    second.end();
    BOOST_TEST(second.is_ended());
  }
  int status = 0;
  for (const auto end = steady::now() + 5s; status != 200 && steady::now() < end;) {
    raw_client third(port);
    status = third.ask(get("/")).status;
  }
  BOOST_TEST(status == 200);
}

BOOST_FIXTURE_TEST_CASE(an_idle_connection_gives_way_to_a_new_one, fixture) {
  max_connections = 2;
  start();
  raw_client first(port), second(port);
  BOOST_TEST(first.ask(get("/")).status == 200);
  BOOST_TEST(second.ask(get("/")).status == 200);
  for (int n = 0; n < 20; ++n) {
    raw_client next(port);
    BOOST_TEST(next.ask(get("/")).status == 200);
  }
  BOOST_TEST(first.is_ended());
}

BOOST_FIXTURE_TEST_CASE(requests_behind_a_proxy_are_limited_by_the_client_that_it_names, fixture) {
  max_per_address = 1;
  options.proxies = trusted_proxies({"127.0.0.0/8"});
  start();
  raw_client first(port), second(port), third(port);
  const auto of = [](const std::string& client) { return post("abcde", "X-Forwarded-For: " + client + "\r\n"); };
  const auto cut = of("2001:db8::1");
  BOOST_TEST(first.send(cut.substr(0, cut.size() - 2))); // it is being served, and goes on
  BOOST_TEST(test::wait_until([&] { return requests == 1; }));
  BOOST_TEST(second.ask(of("2001:db8::2")).status == 503); // of the same /64
  BOOST_TEST(third.ask(of("2001:db8:1::1")).status == 200);
}

BOOST_FIXTURE_TEST_CASE(an_address_has_a_limit_of_its_own_and_a_proxy_has_none, fixture) {
  max_per_address = 1;
  start();
  raw_client first(port), second(port);
  BOOST_TEST(first.ask(get("/")).status == 200);
  BOOST_TEST(second.read().status == 503);
}

BOOST_FIXTURE_TEST_CASE(a_trusted_proxy_has_no_limit_and_names_the_client, fixture) {
  max_per_address = 1;
  options.proxies = trusted_proxies({"127.0.0.0/8"});
  answer = [](request& r) -> task<response> { co_return make_response(200, "text/plain", r.client_address); };
  start();
  raw_client first(port), second(port);
  BOOST_TEST(first.ask(get("/")).body == "127.0.0.1");
  BOOST_TEST(second.ask(get("/", "X-Forwarded-For: 198.51.100.1\r\n")).body == "198.51.100.1");
}

// --- drain ------------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(a_drain_cuts_idle_connections_and_finishes_running_requests, fixture) {
  std::promise<void> started;
  answer = [&](request& r) -> task<response> {
    if (r.path == "/long") {
      started.set_value();
      co_await pause(500ms);
    }
    co_return make_response(200, "text/plain", "done");
  };
  start();
  raw_client idle(port), fresh(port), busy(port);
  BOOST_TEST(idle.ask(get("/")).status == 200);
  busy.send(get("/long"));
  started.get_future().wait();
  bool was_cut = false;
  auto drained = drain(10s, [&] { was_cut = true; });
  BOOST_TEST(idle.is_gone());
  BOOST_TEST(fresh.is_gone());
  const auto r = busy.read();
  BOOST_TEST(r.body == "done");
  BOOST_TEST(r.closes());
  BOOST_TEST((drained.wait_for(5s) == std::future_status::ready));
  BOOST_TEST(!was_cut);
  raw_client late(port);
  BOOST_TEST(!late.is_connected());
}

BOOST_FIXTURE_TEST_CASE(a_drain_cuts_what_runs_past_its_end, fixture) {
  std::promise<void> started;
  bool is_over = false; // on the server's thread
  answer = [&](request&) -> task<response> {
    started.set_value();
    while (!is_over) co_await pause(5ms);
    co_return make_response(200, "text/plain", "too late");
  };
  start();
  raw_client client(port);
  client.send(get("/"));
  started.get_future().wait();
  auto drained = drain(50ms, [&] { is_over = true; }); // the cut ends what the request waits for
  BOOST_TEST((drained.wait_for(5s) == std::future_status::ready));
  BOOST_TEST(client.read().status == 0);
}

BOOST_FIXTURE_TEST_CASE(a_drain_waits_for_a_body_of_known_length, fixture) {
  std::promise<void> started;
  bool is_first = true;
  answer = [&](request&) -> task<response> {
    auto made = make_response(200, "text/plain", "");
    made.length = 20;
    made.next_piece = [&]() -> task<std::optional<std::string>> {
      if (std::exchange(is_first, false)) started.set_value();
      co_await pause(5ms);
      co_return "x";
    };
    co_return made;
  };
  start();
  raw_client client(port);
  client.send(get("/"));
  started.get_future().wait();
  auto drained = drain(10s);
  BOOST_TEST(client.read().body == std::string(20, 'x'));
  BOOST_TEST((drained.wait_for(5s) == std::future_status::ready));
}

BOOST_FIXTURE_TEST_CASE(a_drain_ends_a_body_in_pieces, fixture) {
  answer = [](request&) -> task<response> {
    auto made = make_response(200, "text/event-stream", "first");
    made.next_piece = []() -> task<std::optional<std::string>> {
      co_await pause(5ms);
      co_return "";
    };
    co_return made;
  };
  start();
  raw_client client(port);
  client.send(get("/"));
  std::this_thread::sleep_for(50ms);
  BOOST_TEST((drain(10s).wait_for(5s) == std::future_status::ready));
  BOOST_TEST(client.read().body == "first");
}
