// A client on a plain TCP connection to this machine, which sends any bytes and reads the responses. Every read ends
// within five seconds.
#pragma once

#include <boost/test/unit_test.hpp>

#include <arpa/inet.h>
#include <cerrno>
#include <cstdint>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace postern::test {

// A response as it arrived.
struct raw_response {
  int status = 0; // 0: there was no response
  std::string header, body;

  // The value of a field; "(absent)" when there is none.
  std::string field(const std::string& name) const {
    const auto at = header.find("\r\n" + name + ": ");
    if (at == header.npos) return "(absent)";
    const auto begin = at + name.size() + 4;
    return header.substr(begin, header.find("\r\n", begin) - begin);
  }
  bool closes() const { return field("Connection") == "close"; }
};

class raw_client {
public:
  explicit raw_client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval limit{5, 0};
    const int on = 1;
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    is_connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0; // NOLINT
  }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;
  ~raw_client() { ::close(socket_); }

  bool is_connected() const { return is_connected_; }

  // Returns whether the connection took all bytes.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void end() { ::shutdown(socket_, SHUT_WR); }

  // The next response. Its body has the length that it announces, or none after HEAD and with 100 Continue, or it goes
  // on until the connection ends.
  raw_response read(bool after_head = false) {
    raw_response r;
    while (buffer_.find("\r\n\r\n") == buffer_.npos)
      if (!receive()) return r;
    const auto end = buffer_.find("\r\n\r\n") + 4;
    r.header = buffer_.substr(0, end - 2);
    buffer_.erase(0, end);
    r.status = std::stoi(r.header.substr(9, 3));
    if (after_head || r.status == 100 || r.status == 204) return r;
    const auto length = r.field("Content-Length");
    if (length == "(absent)") {
      while (receive()) {
      }
      r.body.swap(buffer_);
    } else {
      while (buffer_.size() < std::stoul(length) && receive()) {
      }
      r.body = buffer_.substr(0, std::stoul(length));
      buffer_.erase(0, r.body.size());
    }
    return r;
  }
  raw_response ask(std::string_view request) {
    send(request);
    return read();
  }

  // Waits until the server ends the connection. False when it sends something, resets the connection, or takes more
  // than five seconds.
  bool is_ended() {
    if (!buffer_.empty()) return false;
    const auto n = receive();
    return !n && last_error_ == 0 && buffer_.empty();
  }
  // The same, but a reset counts as an end.
  bool is_gone() {
    if (!buffer_.empty()) return false;
    return !receive() && (last_error_ == 0 || last_error_ == ECONNRESET);
  }

private:
  bool receive() {
    char piece[16384];
    const auto n = ::recv(socket_, piece, sizeof piece, 0);
    last_error_ = n < 0 ? errno : 0;
    if (n <= 0) return false;
    buffer_.append(piece, static_cast<std::size_t>(n));
    return true;
  }

  const int socket_;
  bool is_connected_ = false;
  int last_error_ = 0;
  std::string buffer_;
};

} // namespace postern::test
