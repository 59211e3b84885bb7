#include "support/run_task.hpp"
#include <postern/io/net/http_client.hpp>

#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <thread>

using namespace postern;
using asio::ip::tcp;

namespace {

// Sends the same text on each connection and counts the connections.
class scripted_peer {
public:
  explicit scripted_peer(std::string answer) : answer_(std::move(answer)) {
    port = acceptor_.local_endpoint().port();
    thread_ = std::thread([this] { serve(); });
  }
  ~scripted_peer() {
    ended_ = true;
    boost::system::error_code ec;
    tcp::socket wakes(loop_);
    wakes.connect(tcp::endpoint(asio::ip::address_v4::loopback(), port), ec);
    thread_.join();
  }
  std::uint16_t port = 0;
  int connections() const { return connections_; }

private:
  void serve() {
    for (;;) {
      tcp::socket socket(loop_);
      boost::system::error_code ec;
      acceptor_.accept(socket, ec);
      if (ended_) return;
      ++connections_;
      std::string asked;
      asio::read_until(socket, asio::dynamic_buffer(asked), "\r\n\r\n", ec);
      asio::write(socket, asio::buffer(answer_), ec);
    }
  }
  const std::string answer_;
  asio::io_context loop_;
  tcp::acceptor acceptor_{loop_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::atomic<bool> ended_ = false;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

const std::string fine = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

http_request to(const std::string& host, std::uint16_t port) {
  http_request r;
  r.to = {false, host, port};
  r.connect_timeout = r.idle_timeout = std::chrono::milliseconds(5000);
  return r;
}

result<http_response> ask(reach peers, const http_request& r, std::size_t max = 1 << 20) {
  http_client client({.ca_file = "", .connect_to = std::nullopt, .peers = peers});
  return test::run_task(client.send(r, {}, max));
}

} // namespace

BOOST_AUTO_TEST_CASE(forbidden_addresses_are_rejected_before_connecting) {
  scripted_peer peer(fine);
  // 2130706433 is 127.0.0.1 for the system's resolver too.
  for (const char* host :
       {"127.0.0.1", "localhost", "hooks.localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"}) {
    const auto answer = ask(reach::open, to(host, peer.port));
    BOOST_REQUIRE_MESSAGE(!answer, host);
    BOOST_TEST((answer.error().code == errc::forbidden), host << ": " << answer.error().on);
    BOOST_TEST(answer.error().on.find(" resolves to ") != std::string::npos, answer.error().on);
  }
  BOOST_TEST(peer.connections() == 0);
  BOOST_TEST(ask(reach::internal, to("127.0.0.1", peer.port)).has_value());
  BOOST_TEST(ask(reach::any, to("127.0.0.1", peer.port)).has_value());
  BOOST_TEST(peer.connections() == 2);
}

BOOST_AUTO_TEST_CASE(metadata_services_are_rejected_even_where_private_addresses_are_allowed) {
  for (const char* host : {"169.254.169.254", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]"})
    for (const auto peers : {reach::open, reach::internal}) {
      const auto answer = ask(peers, to(host, 80));
      BOOST_TEST((!answer && answer.error().code == errc::forbidden), host);
    }
  BOOST_TEST(ask(reach::internal, to("169.254.169.254", 80)).error().on.find("never connects to metadata services") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_oversized_response_is_an_error_or_truncated) {
  const std::string much(20'000, 'x');
  const std::string sized = "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n" + much;
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n" + much + "\r\n0\r\n\r\n";
  const std::string unsized = "HTTP/1.1 200 OK\r\n\r\n" + much;
  for (const auto& text : {sized, chunked, unsized}) {
    scripted_peer peer(text);
    auto r = to("127.0.0.1", peer.port);
    const auto whole = ask(reach::any, r, 5 << 10);
    BOOST_TEST((!whole && whole.error().code == errc::payload_too_large));
    r.truncates_response = true;
    const auto part = ask(reach::any, r, 5 << 10);
    BOOST_REQUIRE_MESSAGE(part, text.substr(0, 60));
    BOOST_TEST(part->status == 200);
    BOOST_TEST(part->body.size() <= 5u << 10);
  }
}
