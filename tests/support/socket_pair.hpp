// A connected pair of sockets in this process: one end is given to the code under test as if it had been accepted, the
// other end is the client's, and never blocks.
#pragma once

#include <postern/io/tasks.hpp>

#include <cerrno>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace postern::test {

class client_end {
public:
  explicit client_end(int fd) : fd_(fd) {}
  client_end(client_end&& other) noexcept : fd_(std::exchange(other.fd_, -1)), is_ended_(other.is_ended_) {}
  ~client_end() { close(); }

  // Writes as many bytes as fit into the socket's buffer; none once the server has closed.
  std::size_t write(std::string_view bytes) {
    const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  void close_sending() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (const int fd = std::exchange(fd_, -1); fd >= 0) ::close(fd);
  }
  // The bytes that have arrived by now.
  std::string read() {
    std::string out;
    char buffer[4096];
    for (;;) {
      const auto n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (n > 0) out.append(buffer, static_cast<std::size_t>(n));
      if (n == 0 || (n < 0 && errno == ECONNRESET)) is_ended_ = true;
      if (n <= 0) return out;
    }
  }
  bool is_ended() const { return is_ended_; } // the last read saw the server's end

private:
  int fd_;
  bool is_ended_ = false;
};

struct socket_pair {
  explicit socket_pair(asio::io_context& loop) : server(loop.get_executor()), client(open(server)) {}

  tcp_socket server;
  client_end client;

private:
  static int open(tcp_socket& server) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("no socket pair");
    server.assign(asio::ip::tcp::v4(), ends[0]); // Asio needs a protocol; the kernel knows the real one
    return ends[1];
  }
};

} // namespace postern::test
