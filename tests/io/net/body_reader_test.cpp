#include <postern/io/net/body_reader.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <support/deadlines.hpp>
#include <support/run_task.hpp>
#include <support/socket_pair.hpp>
#include <utility>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

framing sized(std::uint64_t length) { return {framing::body_kind::sized, length, true, false}; }
framing chunked() { return {framing::body_kind::chunked, 0, true, false}; }

// A body that a client sends at certain times.
struct fixture {
  asio::io_context& loop = test::loop_of_steps();
  connections list{loop.get_executor()};
  group tasks{loop.get_executor()};
  test::socket_pair pair{loop};
  test::client_end& client = pair.client;
  std::unique_ptr<connection> c = std::make_unique<connection>(list, std::move(pair.server), nullptr);
  resources shared{{}};
  allowance share{shared, loop.get_executor(), {}};
  std::optional<body_reader> body;
  bool is_done = false;

  fixture() { tasks.start(test::enforce_deadlines(list, is_done)); }
  ~fixture() {
    is_done = true;
    test::run_step(tasks.wait(5s));
  }

  void begin(const framing& how, body_limits limits = {}) { body.emplace(*c, how, limits, share); }

  // All of the body, read with a buffer of that size.
  result<std::string> read_all(std::size_t size = 4096) {
    std::string out;
    std::vector<char> buffer(size);
    for (;;) {
      const auto n = test::run_step(body->read_some(buffer));
      if (!n) return n.error();
      if (*n == 0) return out;
      out.append(buffer.data(), *n);
    }
  }
  errc failed(std::size_t size = 4096) {
    const auto got = read_all(size);
    BOOST_TEST_REQUIRE(!got.has_value());
    BOOST_TEST(!body->is_complete());
    return got.error().code;
  }
  // Sends the pieces with such pauses before each.
  void send_slowly(std::vector<std::string> pieces, std::chrono::milliseconds pause) {
    tasks.start(send(std::move(pieces), pause));
  }

private:
  task<> send(std::vector<std::string> pieces, std::chrono::milliseconds pause) {
    timer wait(loop.get_executor());
    boost::system::error_code ec;
    for (const auto& piece : pieces) {
      wait.expires_after(pause);
      co_await wait.async_wait(asio::redirect_error(use_task, ec));
      client.write(piece);
    }
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(body_reader_, fixture)

BOOST_AUTO_TEST_CASE(no_body_is_complete_at_once) {
  begin({});
  BOOST_TEST(body->is_complete());
  BOOST_TEST(body->announced_size().value() == 0u);
  BOOST_TEST(read_all().value().empty());
  begin(sized(0));
  BOOST_TEST(body->is_complete());
}

BOOST_AUTO_TEST_CASE(a_sized_body_ends_where_its_length_says) {
  for (const std::size_t buffer : {1u, 3u, 4096u}) {
    client.write("helloGET /");
    begin(sized(5));
    BOOST_TEST(body->announced_size().value() == 5u);
    BOOST_TEST(!body->is_complete());
    BOOST_TEST(read_all(buffer).value() == "hello");
    BOOST_TEST(body->is_complete());
    BOOST_TEST(test::run_step(c->read_ahead(64)).value() == 5u);
    BOOST_TEST(c->ahead() == "GET /"); // the next request
    c->use(5);
  }
}

BOOST_AUTO_TEST_CASE(bytes_ahead_belong_to_the_body_first) {
  client.write("headbo");
  BOOST_TEST(test::run_step(c->read_ahead(64)).value() == 6u);
  c->use(4);
  client.write("dyrest");
  begin(sized(4));
  BOOST_TEST(read_all().value() == "body");
  BOOST_TEST(test::run_step(c->read_ahead(64)).has_value());
  BOOST_TEST(c->ahead() == "rest");
}

BOOST_AUTO_TEST_CASE(a_chunked_body_loses_its_framing) {
  for (const std::size_t buffer : {1u, 2u, 7u, 4096u}) {
    client.write("5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET /");
    begin(chunked());
    BOOST_TEST(!body->announced_size().has_value());
    BOOST_TEST(read_all(buffer).value() == "hello world");
    BOOST_TEST(body->is_complete());
    while (c->ahead().size() < 5) BOOST_TEST_REQUIRE(test::run_step(c->read_ahead(64)).value() > 0u);
    BOOST_TEST(c->ahead() == "GET /");
    c->use(5);
  }
}

BOOST_AUTO_TEST_CASE(a_chunked_body_may_come_byte_by_byte) {
  std::vector<std::string> pieces;
  for (const char byte : std::string("3\r\nabc\r\n0\r\n\r\n")) pieces.emplace_back(1, byte);
  send_slowly(pieces, 1ms);
  begin(chunked());
  BOOST_TEST(read_all().value() == "abc");
}

BOOST_AUTO_TEST_CASE(an_empty_chunked_body_is_read_to_its_end) {
  client.write("0\r\n\r\n");
  begin(chunked());
  BOOST_TEST(!body->is_complete());
  BOOST_TEST(read_all().value().empty());
  BOOST_TEST(body->is_complete());
}

BOOST_AUTO_TEST_CASE(broken_chunks_are_a_bad_request) {
  for (const char* broken : {"5\r\nhelloX\r\n", "5\r\nhelloX\n0\r\n\r\n", "5\r\nhello\rX0\r\n\r\n",
                             "4\r\nhello\r\n0\r\n\r\n", "6\r\nhello\r\n0\r\n\r\n"})
    BOOST_TEST_CONTEXT(broken) {
      client.write(broken);
      begin(chunked());
      BOOST_TEST((failed() == errc::bad_request));
    }
}

BOOST_AUTO_TEST_CASE(a_body_that_ends_early_is_incomplete) {
  const std::vector<std::pair<framing, const char*>> cases{
      {sized(10), "12345"}, {chunked(), "a\r\n12345"}, {chunked(), "5\r\n12345\r\n"}};
  for (const auto& [how, bytes] : cases) {
    test::socket_pair other(loop);
    connection from(list, std::move(other.server), nullptr);
    body.emplace(from, how, body_limits{}, share);
    other.client.write(bytes);
    other.client.close_sending();
    BOOST_TEST((failed() == errc::incomplete_body), bytes);
    body.reset();
  }
}

BOOST_AUTO_TEST_CASE(continue_is_sent_when_the_body_is_first_read) {
  auto how = sized(3);
  how.expects_continue = true;
  begin(how);
  BOOST_TEST(client.read().empty()); // an endpoint that never reads the body refuses it in time
  send_slowly({"a", "bc"}, 5ms);
  BOOST_TEST(read_all().value() == "abc");
  BOOST_TEST(client.read() == "HTTP/1.1 100 Continue\r\n\r\n"); // once
}

BOOST_AUTO_TEST_CASE(continue_is_not_sent_when_the_body_is_already_coming) {
  client.write("abc");
  BOOST_TEST(test::run_step(c->read_ahead(64)).value() == 3u);
  auto how = sized(3);
  how.expects_continue = true;
  begin(how);
  BOOST_TEST(read_all().value() == "abc");
  BOOST_TEST(client.read().empty());
}

BOOST_AUTO_TEST_CASE(nothing_is_read_after_an_interrupt) {
  begin(sized(5), {200ms, 0});
  body->interrupt(); // nobody waits yet
  const auto waited = test::run_step(body->wait());
  BOOST_TEST_REQUIRE(!waited.has_value());
  BOOST_TEST((waited.error().code == errc::incomplete_body));
  client.write("hello");
  BOOST_TEST((failed() == errc::incomplete_body));
}

BOOST_AUTO_TEST_CASE(silence_ends_the_body) {
  body_limits limits;
  limits.max_silence = 40ms;
  client.write("12");
  begin(sized(3), limits);
  BOOST_TEST((failed() == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(each_byte_ends_the_silence) {
  body_limits limits;
  limits.max_silence = 100ms;
  send_slowly({"1", "2", "3", "4", "5", "6"}, 40ms); // 240 ms in all
  begin(sized(6), limits);
  BOOST_TEST(read_all().value() == "123456");
}

BOOST_AUTO_TEST_CASE(a_body_below_the_minimum_rate_is_ended) {
  body_limits limits;
  limits.min_rate = 1000;
  limits.rate_window = 60ms;
  send_slowly(std::vector<std::string>(20, "x"), 10ms); // at most 100 bytes a second
  begin(sized(1000), limits);
  const auto got = read_all();
  BOOST_TEST_REQUIRE(!got.has_value());
  BOOST_TEST((got.error().code == errc::timed_out));
  BOOST_TEST(got.error().on.find("limits.min_body_rate is 1000") != std::string::npos, got.error().on);
}

BOOST_AUTO_TEST_CASE(a_body_above_the_minimum_rate_goes_on_through_several_windows) {
  body_limits limits;
  limits.min_rate = 50;
  limits.rate_window = 30ms;
  send_slowly(std::vector<std::string>(15, std::string(100, 'x')), 10ms);
  begin(sized(1500), limits);
  BOOST_TEST(read_all().value().size() == 1500u);
}

BOOST_AUTO_TEST_CASE(without_a_minimum_rate_a_slow_body_is_read) {
  body_limits limits;
  limits.min_rate = 0;
  limits.rate_window = 1ms;
  send_slowly({"a", "b", "c"}, 20ms);
  begin(sized(3), limits);
  BOOST_TEST(read_all().value() == "abc");
}

BOOST_AUTO_TEST_CASE(the_time_between_reads_does_not_count_as_silence) {
  body_limits limits;
  limits.max_silence = 50ms;
  limits.min_rate = 100'000;
  limits.rate_window = 50ms;
  begin(sized(6), limits);
  std::vector<char> buffer(3);
  client.write("abcdef");
  BOOST_TEST(test::run_step(body->read_some(buffer)).value() == 3u);
  timer store(loop.get_executor(), 150ms); // a slow store
  boost::system::error_code ec;
  test::run_step([&]() -> task<> { co_await store.async_wait(asio::redirect_error(use_task, ec)); }());
  BOOST_TEST(!c->is_expired());
  BOOST_TEST(test::run_step(body->read_some(buffer)).value() == 3u);
  BOOST_TEST(body->is_complete());
}

BOOST_AUTO_TEST_SUITE_END()
