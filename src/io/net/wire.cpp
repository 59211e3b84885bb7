#include <postern/io/net/wire.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace postern {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

// --- connections ------------------------------------------------------------------------------------

connections::~connections() = default;

task<> connections::watch() {
  boost::system::error_code ec;
  while (!is_stopped_) {
    wakes_.expires_after(250ms);
    co_await wakes_.async_wait(asio::redirect_error(use_task, ec));
    expire_overdue();
  }
}

void connections::expire_overdue() {
  const auto now = steady_clock::now();
  for (auto i = all_.begin(); i != all_.end();) {
    auto& c = static_cast<connection&>(*i++);
    if (c.deadline_ <= now) c.expire();
  }
}

void connections::stop() {
  is_stopped_ = true;
  wakes_.cancel();
}

void connections::drain() {
  is_draining_ = true;
  for (auto i = all_.begin(); i != all_.end();) {
    auto& c = static_cast<connection&>(*i++);
    if (c.is_idle_) c.cut();
  }
}

bool connections::cut_longest_idle() {
  connection* longest = nullptr;
  for (auto& n : all_) {
    auto& c = static_cast<connection&>(n);
    if (c.is_idle_ && c.socket_.is_open() && (!longest || c.idle_since_ < longest->idle_since_)) longest = &c;
  }
  if (longest) longest->cut();
  return longest;
}

void connections::cut_all() {
  for (auto i = all_.begin(); i != all_.end();) static_cast<connection&>(*i++).cut();
}

// --- connection -------------------------------------------------------------------------------------

connection::connection(connections& list, tcp_socket socket, asio::ssl::context* tls) : socket_(std::move(socket)) {
  boost::system::error_code ec;
  socket_.set_option(asio::ip::tcp::no_delay(true), ec);
  const auto end = socket_.remote_endpoint(ec);
  if (!ec) peer_address_ = end.address();
  if (tls) tls_.emplace(socket_, *tls);
  list.all_.push_back(*this);
}

failure connection::failure_of(const boost::system::error_code& ec) const {
  if (is_expired_ && steady_clock::now() >= last_deadline_)
    return failure{errc::timed_out, "the request's deadline has passed"};
  if (is_expired_) return failure{errc::timed_out, "the peer was silent for too long"};
  return failure{errc::disconnected, ec.message()};
}

task<result<void>> connection::handshake() {
  if (!tls_) co_return result<void>{};
  boost::system::error_code ec;
  co_await tls_->async_handshake(asio::ssl::stream_base::server, asio::redirect_error(use_task, ec));
  if (ec) co_return failure_of(ec);
  co_return result<void>{};
}

namespace {

constexpr std::size_t usual_ahead = 4096; // bytes: most requests fit; the buffer grows for larger ones only

// Sets the name or address that the certificate must have. RFC 6066 §3: SNI has names only, no addresses.
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
  if (!expect_host(tls_->native_handle(), host))
    co_return failure{errc::unavailable, during + ": the name cannot be used for TLS"};
  co_await tls_->async_handshake(asio::ssl::stream_base::client, asio::redirect_error(use_task, ec));
  if (!ec) co_return result<void>{};
  if (is_expired_) co_return failure{errc::timed_out, during};
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
  if (ec) co_return failure_of(ec);
  co_return n;
}

task<result<void>> connection::wait_readable() {
  if (tls_) co_return result<void>{};
  boost::system::error_code ec;
  co_await socket_.async_wait(tcp_socket::wait_read, asio::redirect_error(use_task, ec));
  if (ec) co_return failure_of(ec);
  co_return result<void>{};
}

void connection::interrupt() {
  boost::system::error_code ec;
  socket_.cancel(ec);
}

bool connection::has_peer_left(std::uint64_t needed) const {
  const int fd = const_cast<tcp_socket&>(socket_).native_handle();
  pollfd at{fd, POLLRDHUP, 0};
  if (::poll(&at, 1, 0) <= 0) return false;
  if (at.revents & (POLLERR | POLLHUP | POLLNVAL)) return true;
  int unread = 0; // with TLS this counts encrypted bytes, which are more: a hang-up may be seen later then
  return (at.revents & POLLRDHUP) && ::ioctl(fd, FIONREAD, &unread) == 0 && static_cast<std::uint64_t>(unread) < needed;
}

task<result<void>> connection::write(std::string_view bytes) {
  boost::system::error_code ec;
  const asio::const_buffer buffer(bytes.data(), bytes.size());
  if (tls_) {
    co_await asio::async_write(*tls_, buffer, asio::redirect_error(use_task, ec));
  } else {
    // A response nearly always fits into the socket's buffer: then one call is enough.
    const auto n = co_await socket_.async_write_some(buffer, asio::redirect_error(use_task, ec));
    if (!ec && n < bytes.size()) co_await asio::async_write(socket_, buffer + n, asio::redirect_error(use_task, ec));
  }
  if (ec) co_return failure_of(ec);
  co_return result<void>{};
}

task<> connection::linger(std::uint64_t max_bytes, std::chrono::milliseconds max_time) {
  boost::system::error_code ec;
  expires_after(max_time);
  if (tls_) co_await tls_->async_shutdown(asio::redirect_error(use_task, ec));
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ec);
  set_idle(true); // a connection that is needed elsewhere need not stay
  for (std::uint64_t seen = 0; !ec && !is_expired_ && seen < max_bytes;) {
    co_await socket_.async_wait(tcp_socket::wait_read, asio::redirect_error(use_task, ec));
    if (ec) break;
    const auto n = drop_received(socket_.native_handle());
    if (n == 0 || (n < 0 && errno != EAGAIN)) break;
    seen += static_cast<std::uint64_t>(std::max<ssize_t>(n, 0));
  }
}

void connection::expires_after(std::chrono::milliseconds d) {
  const auto now = steady_clock::now();
  is_expired_ = now >= last_deadline_;
  deadline_ = std::min(last_deadline_, d == d.zero() ? clock_point::max() : now + d);
}

// Reads and writes end, but the connection stays open, so that the session can still send an error response. A session
// that does not set a new deadline is cut when the grace period of five seconds ends.
void connection::expire() {
  if (std::exchange(is_expired_, true)) return cut();
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
  if (begin_ < end_) return;
  begin_ = end_ = 0;
  if (ahead_.size() > usual_ahead) ahead_ = std::vector<char>(); // the rest of the request may take long
}

task<result<std::size_t>> connection::read_ahead(std::size_t max) {
  if (begin_ > 0 && end_ == ahead_.size()) {
    std::memmove(ahead_.data(), ahead_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == ahead_.size()) ahead_.resize(std::min(std::max(usual_ahead, ahead_.size() * 2), max));
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

ssize_t drop_received(int descriptor) {
  thread_local std::array<char, 64 << 10> dropped; // no lingering connection needs a buffer of its own
  return ::recv(descriptor, dropped.data(), dropped.size(), MSG_DONTWAIT);
}

} // namespace postern
