// The HTTP/1.1 server: accepts, reads one request after the other from each connection, asks for its answer, writes it
// in one piece. One io_context a thread, each with a socket of its own on the same port (SO_REUSEPORT), so that a
// connection never leaves its thread and nothing here is locked but the count of connections.
#pragma once

#include <postern/front/http_message.hpp>
#include <postern/io/net/wire.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace postern::front {

struct server_limits { // 0 switches one off
  std::size_t request_header = 16 << 10;
  std::chrono::milliseconds header_timeout{10'000}, idle_timeout{60'000};
  body_limits body;
  std::uint64_t connections = 20'000, connections_per_address = 200;
};

// Counts connections in all and by address, for all threads and listeners of the process.
class connection_count {
public:
  connection_count(std::uint64_t max, std::uint64_t max_per_address) : max_(max), max_per_address_(max_per_address) {}

  class place {
  public:
    place() = default;
    place(connection_count& in, asio::ip::address who) : in_(&in), who_(std::move(who)) {}
    place(place&& o) noexcept : in_(std::exchange(o.in_, nullptr)), who_(std::move(o.who_)) {}
    ~place() {
      if (in_) in_->leave(who_);
    }

  private:
    connection_count* in_ = nullptr;
    asio::ip::address who_;
  };

  // `counted`: does the limit by address hold for it? A proxy speaks for many.
  std::optional<place> enter(const asio::ip::address& who, bool counted = true);

private:
  void leave(const asio::ip::address& who);
  const std::uint64_t max_, max_per_address_;
  std::mutex mutex_;
  std::uint64_t all_ = 0;
  std::map<asio::ip::address, std::uint64_t> by_address_;
};

// Answers one request. It may read the body; what it leaves is thrown away. It never throws for what comes from
// outside.
using answer_function = std::function<task<response>(request&)>;
// Answers what is not even a request (broken header, too large, too late).
using refuse_function = std::function<response(const failure&, std::string_view request_id)>;

struct server_options {
  server_limits limits;
  asio::ssl::context* tls = nullptr;        // nullptr: plain
  std::vector<std::string> trusted_proxies; // networks in CIDR form, or addresses
};

// What listens on one address on one thread. Made, run and ended on that thread's io_context.
class http_server {
public:
  // Binds at once. Throws std::runtime_error saying the address and the remedy. `counts` and what `options` names must
  // outlive it.
  http_server(asio::io_context& on, const asio::ip::tcp::endpoint& at, server_options options, connection_count& counts,
              answer_function answer);
  ~http_server();

  asio::ip::tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

  // Accepts until drain. Accepting never brings the server down: a failure is logged and, after a pause, tried again.
  task<> run();
  // New connections are refused from here on, and idle ones are cut.
  void stop_accepting();
  // Stops accepting, lets running requests finish until `end`, then cuts what is left; on_cut is called then, to end
  // what they wait for. run() has returned when this has.
  task<> drain(
      std::chrono::steady_clock::time_point end, std::function<void()> on_cut = [] {});
  // Cuts every connection now; a drain that runs ends soon after.
  void cut() { connections_.cut_all(); }

private:
  task<> session(tcp_socket socket, connection_count::place place);
  task<> turn_away(tcp_socket socket);
  task<result<std::string_view>> read_header(connection& c);
  task<bool> serve_one(connection& c, std::string& out);
  task<bool> go_on(connection& c, const response& answer);
  task<bool> refuse(connection& c, const failure& why);
  bool is_trusted(const asio::ip::address& peer) const;
  std::string client_of(const connection& c, const http::fields& fields) const;

  asio::io_context& on_;
  const server_options options_;
  connection_count& counts_;
  const answer_function answer_;
  tcp_acceptor acceptor_;
  connections connections_;
  group sessions_;
  std::vector<asio::ip::network_v4> proxies_v4_;
  std::vector<asio::ip::network_v6> proxies_v6_;
};

// "127.0.0.1:8080", "[::1]:8080", ":8080" (all addresses), "localhost:8080". Throws std::runtime_error.
asio::ip::tcp::endpoint parse_endpoint(const std::string& text);

// Threads share a port (SO_REUSEPORT), and so would another process that asks to: whoever starts a second server by
// mistake is told. Throws std::runtime_error saying the address and the remedy. Called before the first http_server.
void require_free_port(const asio::ip::tcp::endpoint& at);

} // namespace postern::front
