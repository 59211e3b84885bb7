// Connections as bytes: plain TCP or TLS, with a deadline that is moved on progress, and the one way in which body
// bytes are read. A connection lives on one thread, in the frame of the coroutine that serves it.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/http/framing.hpp>
#include <postern/io/byte_source.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/intrusive/list.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace postern {

class connection;

// The connections of one thread and their deadlines. One coroutine looks them over a few times a second: moving a
// deadline costs an assignment, and a silent peer is noticed within a quarter of a second. What a connection waits for
// past its deadline is given up; past a second one it is cut.
class connections {
public:
  explicit connections(io_executor executor) : wakes_(executor) {}
  ~connections();

  task<> watch(); // until stop
  void look();    // gives up what waits past its deadline, once
  void stop();
  void drain(); // those that wait for a request are cut now, the others when theirs is answered
  void cut_all();
  bool draining() const { return draining_; }
  std::size_t size() const { return all_.size(); }

private:
  friend class connection;
  using hook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
  struct node : hook {};
  boost::intrusive::list<node, boost::intrusive::constant_time_size<false>> all_;
  timer wakes_;
  bool draining_ = false;
  bool stopped_ = false;
};

using clock_point = std::chrono::steady_clock::time_point;

class connection : private connections::node {
public:
  // `tls` empty: plain. The address is the peer's as the socket says it.
  connection(connections& among, tcp_socket socket, asio::ssl::context* tls);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  // TLS only; nothing to do when plain. errc::disconnected, errc::timed_out.
  task<result<void>> handshake();
  // The same from the client's side: the server must prove to be `host` (SNI, certificate). errc::unavailable says why
  // it did not.
  task<result<void>> handshake_as_client(const std::string& host);
  // Is an idle connection still good? It is when the peer has neither ended it nor said anything.
  bool is_quiet();

  // At least one byte into `into`, or 0 when the peer has ended its side. errc::disconnected, or errc::timed_out when
  // the deadline has passed.
  task<result<std::size_t>> read_some(std::span<char> into);
  // All of the bytes.
  task<result<void>> write(std::string_view bytes);

  // Ends our side, then reads what the peer still sends, at most `bytes` and for `most`, so that an answer given early
  // is not lost to a reset (RFC 9112 §9.6).
  task<> linger(std::uint64_t bytes, std::chrono::milliseconds max);

  // From then on a read or write that waits ends with errc::timed_out; zero: never.
  void expires_after(std::chrono::milliseconds d);
  bool expired() const { return expired_; }
  // Between requests a drain may cut the connection at once.
  void idle(bool yes) { idle_ = yes; }
  void cut();

  const asio::ip::address& peer() const { return peer_; }
  bool secure() const { return tls_.has_value(); }

  // Bytes that arrived and are not yet used: a later request, or the beginning of a body. read_ahead appends what one
  // read brings, up to `most` held bytes in all.
  std::string_view ahead() const { return {ahead_.data() + begin_, end_ - begin_}; }
  void use(std::size_t n);
  task<result<std::size_t>> read_ahead(std::size_t max);
  void put_back(std::string_view bytes); // in front of what is ahead

private:
  friend class connections;
  void expire();
  failure gone(const boost::system::error_code& ec) const;

  std::optional<asio::ssl::stream<tcp_socket&>> tls_;
  tcp_socket socket_;
  asio::ip::address peer_;
  clock_point deadline_ = clock_point::max();
  bool expired_ = false, idle_ = false;
  std::vector<char> ahead_;
  std::size_t begin_ = 0, end_ = 0;
};

struct body_limits {
  std::chrono::milliseconds silence{30'000}; // 0: none
  std::uint64_t min_rate = 1024;             // bytes a second, averaged over 30 s of waiting for the peer; 0: none
};

// The body of one request, read from its connection: what is ahead first, then straight from the socket into the
// caller's buffer. Sends 100 Continue at the first read where the request asked for it.
class body_reader final : public byte_source {
public:
  body_reader(connection& from, const framing& how, body_limits limits);

  task<result<std::size_t>> read_some(std::span<char> into) override;
  std::optional<std::uint64_t> announced() const override;

  bool whole() const { return whole_; }
  bool begun() const { return begun_; }

private:
  task<result<std::size_t>> arrive(std::span<char> into); // one read, watched for silence and rate
  task<result<std::size_t>> read_chunked(std::span<char> into);
  result<void> watch_rate(std::size_t bytes, std::chrono::steady_clock::duration waited);

  connection& from_;
  const framing how_;
  const body_limits limits_;
  chunk_decoder chunks_;
  std::uint64_t left_;
  bool whole_, begun_ = false;
  std::uint64_t window_bytes_ = 0;
  std::chrono::steady_clock::duration window_waited_{};
};

} // namespace postern
