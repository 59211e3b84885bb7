// The HTTP/1.1 server on one address and one thread: accepts connections and serves each in a session. Every thread has
// its own server and its own socket on the same port (SO_REUSEPORT), so a connection never changes threads and needs no
// lock. It is made, run and ended on the thread of its io_context. Call run once; it returns after drain.
#pragma once

#include <postern/front/connection_count.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/http_session.hpp>
#include <postern/front/trusted_proxies.hpp>
#include <postern/front/turned_away.hpp>
#include <postern/io/net/wire.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/ssl/context.hpp>

#include <chrono>
#include <functional>
#include <optional>

namespace postern::front {

struct server_options {
  session_limits limits;
  asio::ssl::context* tls = nullptr; // nullptr: plain HTTP
  trusted_proxies proxies;
};

class http_server {
public:
  // What a connection and its session hold, in bytes: the frames of their coroutines, the header, the strings of a
  // request. With TLS its buffers too.
  static constexpr std::uint64_t connection_memory = 12 << 10, tls_memory = 48 << 10;

  // Listens at once. Throws std::runtime_error with the address and the remedy. `count`, `shared` and options.tls must
  // outlive the server.
  http_server(asio::io_context& on, const asio::ip::tcp::endpoint& at, server_options options, connection_count& count,
              resources& shared, endpoint answer);
  ~http_server();

  asio::ip::tcp::endpoint local_endpoint() const { return acceptor_.local_endpoint(); }

  // Accepts connections until stop_accepting. When accept fails, that is logged and tried again after a pause.
  task<> run();
  // Refuses new connections and cuts the idle ones.
  void stop_accepting();
  // First grade: stops accepting and waits until `end` for the running requests. Second grade: calls on_cut, which must
  // end what the requests wait for, and cuts the connections that are left.
  task<> drain(
      std::chrono::steady_clock::time_point end, std::function<void()> on_cut = [] {});
  // Cuts every connection now. A drain in progress then ends soon.
  void cut() { connections_.cut_all(); }

private:
  std::optional<connection_count::ticket> admit(const asio::ip::address& peer);
  task<> serve(tcp_socket socket, connection_count::ticket ticket);
  task<> clean_up_turned_away();

  asio::io_context& on_;
  const server_options options_;
  connection_count& count_;
  resources& shared_;
  const endpoint answer_;
  tcp_acceptor acceptor_;
  connections connections_;
  turned_away turned_away_;
  timer clean_up_;
  group sessions_; // and the tasks that watch the connections' deadlines and clean up
};

} // namespace postern::front
