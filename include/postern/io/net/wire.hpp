// TCP and TLS connections as streams of bytes, with deadlines that move on progress. A connection and its list live on
// one thread. The coroutine that serves a connection owns it; the connection closes when it is destroyed.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/intrusive/list.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace postern {

class connection;

// The list of the connections of one thread, and their deadlines. One coroutine checks all deadlines four times a
// second, so moving a deadline costs one assignment. Must outlive its connections.
class connections {
public:
  explicit connections(io_executor executor) : wakes_(executor) {}
  ~connections();

  task<> watch(); // calls expire_overdue until stop
  // Ends the reads and writes of overdue connections with errc::timed_out. A connection that sets no new deadline is
  // cut five seconds later.
  void expire_overdue();
  void stop();
  void drain();   // cuts idle connections now; is_draining is true from then on
  void cut_all(); // cuts every connection now
  // Cuts the connection that has been idle longest, to make room for another. False: none is idle.
  bool cut_longest_idle();
  bool is_draining() const { return is_draining_; }

private:
  friend class connection;
  using hook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
  struct node : hook {};
  boost::intrusive::list<node, boost::intrusive::constant_time_size<false>> all_;
  timer wakes_;
  bool is_draining_ = false;
  bool is_stopped_ = false;
};

class connection : private connections::node {
public:
  // Without `tls` the connection is plain TCP. Both references must outlive the connection.
  connection(connections& list, tcp_socket socket, asio::ssl::context* tls);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // The TLS handshake as a server; returns at once on a plain connection. errc::disconnected, errc::timed_out.
  task<result<void>> handshake();
  // The TLS handshake as a client. The server's certificate must be for `host`, a name or an address without brackets;
  // a name is also sent as SNI. errc::unavailable with the reason, errc::timed_out.
  task<result<void>> handshake_as_client(const std::string& host);
  // Whether an idle connection can carry another request. False when the peer has closed it or has sent bytes without a
  // request.
  bool is_quiet();

  // Reads at least one byte into `into`; returns 0 when the peer has closed its side. errc::disconnected,
  // errc::timed_out.
  task<result<std::size_t>> read_some(std::span<char> into);
  // Waits until read_some would return at once. With TLS it returns at once itself, because bytes may be ready inside
  // the TLS stream. Fails as read_some does.
  task<result<void>> wait_readable();
  // Ends the read, write or wait that is running.
  void interrupt();
  // Whether the peer has broken off, or closed its side with fewer than `needed` bytes left to read.
  bool has_peer_left(std::uint64_t needed) const;
  // Writes all of the bytes, which must live until write returns. errc::disconnected, errc::timed_out.
  task<result<void>> write(std::string_view bytes);

  // Closes our side, then reads and discards what the peer still sends, at most `max_bytes` and for at most `max_time`.
  // Without lingering, an early response can be lost to a TCP reset (RFC 9112 §9.6).
  task<> linger(std::uint64_t max_bytes, std::chrono::milliseconds max_time);

  // Sets the deadline of all further reads and writes, and clears is_expired. Zero: no deadline.
  void expires_after(std::chrono::milliseconds d);
  // No deadline is later than this moment, whatever expires_after sets afterwards. clock_point::max(): no such limit.
  void ends_at(clock_point last) { last_deadline_ = last; }
  bool is_expired() const { return is_expired_; } // the deadline has passed
  // A connection that waits for a request, or lingers, is idle: it may be cut when a drain begins or its place is
  // needed.
  void set_idle(bool is_idle) {
    if (is_idle && !is_idle_) idle_since_ = std::chrono::steady_clock::now();
    is_idle_ = is_idle;
  }
  void cut(); // closes both sides now; reads and writes end with errc::disconnected

  const asio::ip::address& peer_address() const { return peer_address_; }
  bool is_secure() const { return tls_.has_value(); }

  // The bytes ahead: they have arrived and are not used yet. They are the beginning of a body, or the next request. The
  // view is valid until the next call of use, read_ahead or put_back.
  std::string_view ahead() const { return {ahead_.data() + begin_, end_ - begin_}; }
  void use(std::size_t n); // drops the first n bytes ahead
  // Reads once and appends to the bytes ahead. Returns the number of new bytes; 0 when the peer has closed its side. At
  // most `max` bytes are ahead afterwards; fewer than `max` must be ahead before. Fails as read_some does.
  task<result<std::size_t>> read_ahead(std::size_t max);
  void put_back(std::string_view bytes); // in front of the bytes ahead

private:
  friend class connections;
  void expire();
  failure failure_of(const boost::system::error_code& ec) const;

  std::optional<asio::ssl::stream<tcp_socket&>> tls_;
  tcp_socket socket_;
  asio::ip::address peer_address_;
  clock_point deadline_ = clock_point::max(), last_deadline_ = clock_point::max();
  bool is_expired_ = false, is_idle_ = false;
  clock_point idle_since_; // while it is idle
  std::vector<char> ahead_;
  std::size_t begin_ = 0, end_ = 0;
};

// Reads at most 64 KiB of what has arrived at a socket, and drops it. Returns as recv(2) does: the number of bytes, 0
// when the peer has closed its side, -1 with errno.
ssize_t drop_received(int descriptor);

} // namespace postern
