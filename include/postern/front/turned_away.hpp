// The connections that were refused because a limit was reached. Each gets an answer at once: 503, or with TLS an
// alert, because a handshake costs too much now. Then it stays open for a moment, since closing it while the client
// still sends would destroy the answer (RFC 9112 §9.6). Only so many stay: when another comes, the oldest closes. Owned
// by one http_server, on its thread.
#pragma once

#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

namespace postern::front {

class turned_away {
public:
  static constexpr std::size_t max = 64; // sockets

  // `answers`: what the connections get in turn, as bytes; at least one.
  explicit turned_away(std::vector<std::string> answers) : answers_(std::move(answers)) {}

  void add(tcp_socket socket);
  // Drops what the clients have sent. Closes each socket whose client has left, and each that is older than a second.
  // Call it a few times a second.
  void clean_up(std::chrono::steady_clock::time_point now);
  std::size_t size() const { return all_.size(); }

private:
  struct refused {
    tcp_socket socket;
    std::chrono::steady_clock::time_point since;
  };
  const std::vector<std::string> answers_;
  std::size_t next_answer_ = 0;
  std::deque<refused> all_; // the oldest first
};

// A TLS record with the fatal alert internal_error (RFC 8446 §6), which a client takes before its handshake.
std::string tls_alert();

} // namespace postern::front
