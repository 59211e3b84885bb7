#include "support/black_hole.hpp"
#include "support/run_task.hpp"
#include <postern/io/net/dial.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

using endpoint = asio::ip::tcp::endpoint;

// Accepts connections into its backlog.
struct listener {
  asio::io_context loop;
  asio::ip::tcp::acceptor socket{loop, {asio::ip::make_address("127.0.0.1"), 0}, true};
  endpoint at() const { return socket.local_endpoint(); }
  // Whether a connection that was made has been closed by its client.
  bool next_is_closed() {
    auto peer = socket.accept();
    char byte;
    boost::system::error_code ec;
    peer.read_some(asio::buffer(&byte, 1), ec);
    return ec == asio::error::eof || ec == asio::error::connection_reset;
  }
};

endpoint refused() {
  asio::io_context loop;
  const asio::ip::tcp::acceptor closed(loop, {asio::ip::make_address("127.0.0.1"), 0}, true);
  return closed.local_endpoint();
}

struct dialled {
  result<tcp_socket> socket;
  steady_clock::duration took;
  endpoint peer() const { return socket.value().remote_endpoint(); }
};

// The socket lives as long as its loop.
dialled dial_now(asio::io_context& loop, name_lookup::endpoints to) {
  const auto begin = steady_clock::now();
  auto socket = run_on(loop, within(20s, dial(std::move(to)), "the test"));
  return {std::move(socket), steady_clock::now() - begin};
}

} // namespace

BOOST_AUTO_TEST_SUITE(dial_)

BOOST_AUTO_TEST_CASE(the_families_alternate) {
  const auto v4 = [](unsigned char n) { return endpoint(asio::ip::address_v4({192, 0, 2, n}), 80); };
  const auto v6 = [](const char* text) { return endpoint(asio::ip::make_address(text), 80); };
  const auto a = v6("2001:db8::a"), b = v6("2001:db8::b"), c = v6("2001:db8::c");
  using list = name_lookup::endpoints;
  BOOST_TEST((interleave_families({a, b, c, v4(1), v4(2)}) == list{a, v4(1), b, v4(2), c}));
  BOOST_TEST((interleave_families({v4(1), v4(2), a}) == list{v4(1), a, v4(2)}));
  BOOST_TEST((interleave_families({v4(2), v4(1)}) == list{v4(2), v4(1)}));
}

BOOST_AUTO_TEST_CASE(the_next_address_is_tried_when_the_first_is_silent) {
  const black_hole hole, another;
  listener good;
  asio::io_context loop{1};
  const auto made = dial_now(loop, {hole.at(), another.at(), good.at()});
  BOOST_TEST_REQUIRE(made.socket.has_value());
  BOOST_TEST(made.peer() == good.at());
  BOOST_TEST((made.took >= 2 * dial_pause)); // one address after the other
  BOOST_TEST((made.took < 10s));             // the system would try a silent address for minutes
}

BOOST_AUTO_TEST_CASE(the_next_address_is_tried_at_once_when_one_fails) {
  listener good;
  asio::io_context loop{1};
  const auto made = dial_now(loop, {refused(), refused(), refused(), good.at()});
  BOOST_TEST_REQUIRE(made.socket.has_value());
  BOOST_TEST(made.peer() == good.at());
  BOOST_TEST((made.took < 2 * dial_pause));
}

// The first address answers after the second one was tried: whichever is first wins, and nothing is left open.
BOOST_AUTO_TEST_CASE(the_first_connection_wins_and_the_others_are_closed) {
  listener good, unused;
  asio::io_context loop{1};
  {
    const auto made = dial_now(loop, {good.at(), unused.at()});
    BOOST_TEST_REQUIRE(made.socket.has_value());
    BOOST_TEST(made.peer() == good.at());
  }
  const black_hole hole;
  {
    const auto made = dial_now(loop, {hole.at(), good.at()});
    BOOST_TEST_REQUIRE(made.socket.has_value());
  }
  BOOST_TEST(good.next_is_closed());
  BOOST_TEST(good.next_is_closed());
  unused.socket.non_blocking(true);
  boost::system::error_code ec;
  unused.socket.accept(ec);
  BOOST_TEST((ec == asio::error::would_block)); // never tried
  loop.restart();
  BOOST_TEST(loop.poll() < 10u); // the attempt at the silent address has ended, too: the loop has no work
  BOOST_TEST(loop.stopped());
}

BOOST_AUTO_TEST_CASE(when_no_address_can_be_connected_to_the_reason_is_given) {
  asio::io_context loop{1};
  const auto none = dial_now(loop, {refused(), refused()});
  BOOST_TEST_REQUIRE(!none.socket.has_value());
  BOOST_TEST((none.socket.error().code == errc::unavailable));
  BOOST_TEST(none.socket.error().on.find("refused") != std::string::npos, none.socket.error().on);
}

BOOST_AUTO_TEST_CASE(a_limit_ends_all_attempts) {
  const black_hole hole, another;
  asio::io_context loop{1};
  const auto late = run_on(loop, within(600ms, dial({hole.at(), another.at()}), "the limit"));
  BOOST_TEST((!late && late.error().code == errc::timed_out));
  loop.restart();
  loop.poll();
  BOOST_TEST(loop.stopped());
}

BOOST_AUTO_TEST_SUITE_END()
