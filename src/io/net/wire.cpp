#include <postern/io/net/wire.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>

namespace postern {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

// --- connections ------------------------------------------------------------------------------------

connections::~connections() = default;

task<> connections::watch() {
  boost::system::error_code ec;
  while (!stopped_) {
    wakes_.expires_after(250ms);
    co_await wakes_.async_wait(asio::redirect_error(use_task, ec));
    look();
  }
}

void connections::look() {
  const auto now = steady_clock::now();
  for (auto i = all_.begin(); i != all_.end();) {
    auto& c = static_cast<connection&>(*i++);
    if (c.deadline_ <= now) c.expire();
  }
}

void connections::stop() {
  stopped_ = true;
  wakes_.cancel();
}

void connections::drain() {
  draining_ = true;
  for (auto i = all_.begin(); i != all_.end();) {
    auto& c = static_cast<connection&>(*i++);
    if (c.idle_) c.cut();
  }
}

void connections::cut_all() {
  for (auto i = all_.begin(); i != all_.end();) static_cast<connection&>(*i++).cut();
}

// --- connection -------------------------------------------------------------------------------------

connection::connection(connections& among, tcp_socket socket, asio::ssl::context* tls) : socket_(std::move(socket)) {
  boost::system::error_code ec;
  socket_.set_option(asio::ip::tcp::no_delay(true), ec);
  const auto end = socket_.remote_endpoint(ec);
  if (!ec) peer_ = end.address();
  if (tls) tls_.emplace(socket_, *tls);
  among.all_.push_back(*this);
}

failure connection::gone(const boost::system::error_code& ec) const {
  if (expired_) return failure{errc::timed_out, "the connection"};
  return failure{errc::disconnected, ec.message()};
}

task<result<void>> connection::handshake() {
  if (!tls_) co_return result<void>{};
  boost::system::error_code ec;
  co_await tls_->async_handshake(asio::ssl::stream_base::server, asio::redirect_error(use_task, ec));
  if (ec) co_return gone(ec);
  co_return result<void>{};
}

namespace {

// Whom the certificate must be for. A name is also told to the server; RFC 6066 §3 has no addresses in SNI.
bool expect_host(SSL* ssl, const std::string& host) {
  boost::system::error_code no_address;
  asio::ip::make_address(host, no_address);
  if (!no_address) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl, host.c_str()) == 1 &&
         SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str())) == 1;
}

} // namespace

task<result<void>> connection::handshake_as_client(const std::string& host) {
  if (!tls_) co_return result<void>{};
  boost::system::error_code ec;
  const auto during = "TLS handshake with " + host;
  tls_->set_verify_mode(asio::ssl::verify_peer);
  if (!expect_host(tls_->native_handle(), host)) co_return failure{errc::unavailable, during + ": no name for TLS"};
  co_await tls_->async_handshake(asio::ssl::stream_base::client, asio::redirect_error(use_task, ec));
  if (!ec) co_return result<void>{};
  if (expired_) co_return failure{errc::timed_out, during};
  const auto verdict = SSL_get_verify_result(tls_->native_handle());
  const auto why = verdict == X509_V_OK ? ec.message() : X509_verify_cert_error_string(verdict);
  co_return failure{errc::unavailable, during + ": " + why};
}

bool connection::is_quiet() {
  char byte;
  const auto n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return ahead().empty() && n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

task<result<std::size_t>> connection::read_some(std::span<char> into) {
  boost::system::error_code ec;
  std::size_t n = 0;
  const asio::mutable_buffer buffer(into.data(), into.size());
  if (tls_)
    n = co_await tls_->async_read_some(buffer, asio::redirect_error(use_task, ec));
  else
    n = co_await socket_.async_read_some(buffer, asio::redirect_error(use_task, ec));
  if (ec == asio::error::eof || ec == asio::ssl::error::stream_truncated) co_return std::size_t{0};
  if (ec) co_return gone(ec);
  co_return n;
}

task<result<void>> connection::write(std::string_view bytes) {
  boost::system::error_code ec;
  const asio::const_buffer buffer(bytes.data(), bytes.size());
  if (tls_) {
    co_await asio::async_write(*tls_, buffer, asio::redirect_error(use_task, ec));
  } else {
    // An answer nearly always fits the socket's buffer: one call, and no operation to set up.
    const auto n = co_await socket_.async_write_some(buffer, asio::redirect_error(use_task, ec));
    if (!ec && n < bytes.size()) co_await asio::async_write(socket_, buffer + n, asio::redirect_error(use_task, ec));
  }
  if (ec) co_return gone(ec);
  co_return result<void>{};
}

task<> connection::linger(std::uint64_t bytes, std::chrono::milliseconds max) {
  boost::system::error_code ec;
  expires_after(max);
  if (tls_) co_await tls_->async_shutdown(asio::redirect_error(use_task, ec));
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ec);
  std::array<char, 16384> thrown_away;
  const asio::mutable_buffer buffer(thrown_away.data(), thrown_away.size());
  for (std::uint64_t seen = 0; !ec && !expired_ && seen < bytes;)
    seen += co_await socket_.async_read_some(buffer, asio::redirect_error(use_task, ec));
}

void connection::expires_after(std::chrono::milliseconds d) {
  expired_ = false;
  deadline_ = d == d.zero() ? clock_point::max() : steady_clock::now() + d;
}

// What waits is given up, so that the peer can still be told why; whoever does not set another deadline is cut at the
// next.
void connection::expire() {
  if (std::exchange(expired_, true)) return cut();
  boost::system::error_code ec;
  socket_.cancel(ec);
  deadline_ = steady_clock::now() + 5s;
}

void connection::cut() {
  boost::system::error_code ec;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ec);
  socket_.close(ec);
}

void connection::use(std::size_t n) {
  begin_ += n;
  if (begin_ == end_) begin_ = end_ = 0;
}

task<result<std::size_t>> connection::read_ahead(std::size_t max) {
  if (begin_ > 0 && end_ == ahead_.size()) {
    std::memmove(ahead_.data(), ahead_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  // Most requests fit in 4 KiB; only those that do not pay for more.
  if (end_ == ahead_.size()) ahead_.resize(std::min(std::max<std::size_t>(4096, ahead_.size() * 2), max));
  auto n = co_await read_some(std::span(ahead_).subspan(end_));
  if (n) end_ += *n;
  co_return n;
}

void connection::put_back(std::string_view bytes) {
  std::vector<char> all(bytes.begin(), bytes.end());
  const auto behind = ahead();
  all.insert(all.end(), behind.begin(), behind.end());
  begin_ = 0;
  end_ = all.size();
  ahead_ = std::move(all);
}

// --- body_reader ------------------------------------------------------------------------------------

body_reader::body_reader(connection& from, const framing& how, body_limits limits)
    : from_(from), how_(how), limits_(limits), left_(how.length),
      whole_(how.body == framing::body_kind::none || (how.body == framing::body_kind::sized && how.length == 0)) {}

std::optional<std::uint64_t> body_reader::announced() const {
  if (how_.body == framing::body_kind::chunked) return std::nullopt;
  return how_.length;
}

task<result<std::size_t>> body_reader::read_some(std::span<char> into) {
  if (whole_) co_return std::size_t{0};
  if (!begun_) {
    begun_ = true;
    if (how_.expects_continue && from_.ahead().empty()) {
      auto told = co_await from_.write("HTTP/1.1 100 Continue\r\n\r\n");
      if (!told) co_return told.error();
    }
  }
  if (how_.body == framing::body_kind::chunked) co_return co_await read_chunked(into);
  auto n = co_await arrive(into.first(std::min<std::uint64_t>(into.size(), left_)));
  if (!n) co_return n.error();
  left_ -= *n;
  whole_ = left_ == 0;
  co_return n;
}

task<result<std::size_t>> body_reader::arrive(std::span<char> into) {
  if (const auto ahead = from_.ahead(); !ahead.empty()) {
    const auto n = std::min(ahead.size(), into.size());
    std::memcpy(into.data(), ahead.data(), n);
    from_.use(n);
    co_return n;
  }
  from_.expires_after(limits_.silence);
  const auto begin = steady_clock::now();
  auto n = co_await from_.read_some(into);
  // However long the bytes' way to the store takes now, it is not the client that is silent.
  if (!from_.expired()) from_.expires_after(0ms);
  if (!n) {
    if (n.error().code == errc::timed_out) co_return failure{errc::timed_out, "no byte of the body came in time"};
    co_return failure{errc::incomplete_body, "the connection broke off"};
  }
  if (*n == 0) co_return failure{errc::incomplete_body, "the client ended its side"};
  if (auto steady = watch_rate(*n, steady_clock::now() - begin); !steady) co_return steady.error();
  co_return n;
}

// Only the time spent waiting for the peer counts: a store that is slow must not make the client look slow.
result<void> body_reader::watch_rate(std::size_t bytes, steady_clock::duration waited) {
  window_bytes_ += bytes;
  window_waited_ += waited;
  if (limits_.min_rate == 0 || window_waited_ < 30s) return {};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(window_waited_).count();
  if (window_bytes_ / static_cast<std::uint64_t>(seconds) < limits_.min_rate)
    return failure{errc::timed_out, "the body comes too slowly"};
  window_bytes_ = 0;
  window_waited_ = {};
  return {};
}

task<result<std::size_t>> body_reader::read_chunked(std::span<char> into) {
  for (;;) {
    auto n = co_await arrive(into);
    if (!n) co_return n.error();
    // The framing is taken off in place: data moves to the front of the caller's buffer.
    std::span<const char> raw = into.first(*n);
    std::size_t kept = 0;
    while (!raw.empty() && !chunks_.done()) {
      auto run = chunks_.next(raw);
      if (!run) co_return run.error();
      if (run->empty()) continue;
      std::memmove(into.data() + kept, run->data(), run->size());
      kept += run->size();
    }
    whole_ = chunks_.done();
    if (!raw.empty()) from_.put_back({raw.data(), raw.size()});
    if (kept || whole_) co_return kept;
  }
}

} // namespace postern
