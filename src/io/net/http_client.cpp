#include "connection_pool.hpp"
#include <postern/base/metrics.hpp>
#include <postern/io/net/dial.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/net/wire.hpp>

#include <algorithm>
#include <stdexcept>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr auto continue_timeout = 3000ms;        // RFC 9110 §10.1.1: a client must not wait indefinitely
constexpr auto max_duration = 2min;              // of a request without a deadline
constexpr std::size_t max_copied_body = 8 << 10; // a small body is sent in one packet with its header

metrics::counter connections_opened("postern_client_connections_total",
                                    "Connections that were opened to stores and other servers", "");

address_verdict judge(const asio::ip::address& a) {
  if (a.is_v4()) return judge_address(a.to_v4().to_bytes());
  return judge_address(a.to_v6().to_bytes());
}

// The addresses to which `peers` allows a connection. errc::forbidden when there is none.
result<name_lookup::endpoints> allowed(const std::string& host, const name_lookup::endpoints& found, reach peers) {
  name_lookup::endpoints out;
  std::string why;
  for (const auto& f : found) {
    const auto verdict = judge(f.address());
    if (may_connect(peers, verdict.kind))
      out.push_back(f);
    else if (why.empty())
      why = host + " resolves to " + f.address().to_string() + ", which is " + std::string(verdict.what) +
            (verdict.kind == address_kind::metadata ? ": Postern never connects to metadata services"
                                                    : ": private addresses are not allowed here");
  }
  if (out.empty()) return failure{errc::forbidden, why};
  return out;
}

task<result<tcp_socket>> connect_socket(http_address to, name_lookup& names, std::chrono::milliseconds max,
                                        reach peers) {
  auto host = to.bare_host();
  if (host.ends_with(".localhost")) host = "localhost"; // RFC 6761 §6.3; some resolvers do not do this
  const auto found = co_await names.find(host, to.port, max);
  if (!found) co_return found.error();
  const auto chosen = allowed(to.host, *found, peers);
  if (!chosen) co_return chosen.error();
  auto socket = co_await dial(*chosen);
  if (!socket) co_return failure{errc::unavailable, "connecting to " + to.origin() + ": " + socket.error().on};
  connections_opened.add();
  co_return std::move(*socket);
}

clock_point end_of(std::optional<clock_point> deadline) {
  return deadline ? *deadline : steady_clock::now() + max_duration;
}

// What is left of `max` when all must have ended at `end`. Not zero, which would be no limit.
std::chrono::milliseconds at_most(std::chrono::milliseconds max, clock_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - steady_clock::now());
  return std::clamp(left, std::chrono::milliseconds(1), max);
}

// POST /path HTTP/1.1
// Host: example.com
// Content-Length: 5
std::string head_of(const http_request& r, std::uint64_t length, bool expects_continue) {
  std::string out = r.method + " " + r.target + " HTTP/1.1\r\nHost: " + r.to.authority() + "\r\n";
  for (const auto& [name, value] : r.fields) out.append(name).append(": ").append(value).append("\r\n");
  if (length > 0 || r.method == "PUT" || r.method == "POST")
    out.append("Content-Length: ").append(std::to_string(length)).append("\r\n");
  if (expects_continue) out += "Expect: 100-continue\r\n";
  return out += "\r\n";
}

} // namespace

// --- http_upload ------------------------------------------------------------------------------------

http_upload::http_upload(std::unique_ptr<pooled_connection> on, response_limits limits, bool accepts_body)
    : on_(std::move(on)), limits_(limits), accepts_body_(accepts_body) {}
http_upload::~http_upload() = default;

task<result<void>> http_upload::write(std::span<const char> bytes) {
  on_->wire->expires_after(limits_.idle_timeout);
  auto written = co_await on_->wire->write({bytes.data(), bytes.size()});
  if (!written) co_return on_->reason(written.error());
  co_return result<void>{};
}

task<result<http_response>> http_upload::finish(bool is_body_complete, std::optional<clock_point> deadline) {
  on_->wire->ends_at(end_of(deadline));
  response_reader reader(*on_->wire, limits_);
  auto answer = co_await reader.read();
  // After an early response the server still expects the body, so the connection cannot carry another request.
  if (!answer) co_return on_->reason(answer.error());
  if (reader.is_reusable() && accepts_body_ && is_body_complete) on_->keep();
  co_return answer;
}

// --- http_client ------------------------------------------------------------------------------------

http_client::http_client(http_client_options options)
    : tls_(asio::ssl::context::tls_client), connect_to_(std::move(options.connect_to)), peers_(options.peers),
      names_(2, std::move(options.resolve)) {
  tls_.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1);
  boost::system::error_code ec;
  if (options.ca_file.empty())
    tls_.set_default_verify_paths(ec);
  else
    tls_.load_verify_file(options.ca_file, ec);
  if (ec)
    throw std::runtime_error("the CA file \"" + options.ca_file + "\" cannot be used: " + ec.message() +
                             "; name a PEM file that this user may read");
  tls_.set_verify_mode(asio::ssl::verify_peer);
}

http_client::~http_client() = default;

void http_client::stop(asio::io_context& on) { asio::use_service<connection_pool>(on).stop(); }

// The connection's end is `end`.
task<result<std::unique_ptr<pooled_connection>>> http_client::connect(const http_request& r, bool is_retry,
                                                                      clock_point end) {
  auto executor = co_await asio::this_coro::executor;
  auto& pool = asio::use_service<connection_pool>(executor.context());
  const failure stopping{errc::cancelled, "the server is stopping"};
  if (pool.is_stopped() && !r.is_cleanup) co_return stopping;
  const connection_pool::key key{&tls_, r.to};
  const auto max = at_most(r.connect_timeout, end);
  if (!is_retry)
    if (auto kept = pool.take(key)) {
      kept->ends_at(end);
      co_return std::make_unique<pooled_connection>(pool, key, std::move(kept), true);
    }
  auto socket = co_await within(max, connect_socket(connect_to_.value_or(r.to), names_, max, peers_),
                                "connecting to " + r.to.origin());
  if (pool.is_stopped() && !r.is_cleanup) co_return stopping; // stopped while connecting
  if (!socket) co_return socket.error();
  auto made = std::make_unique<pooled_connection>(
      pool, key, std::make_unique<connection>(pool.all(), std::move(*socket), r.to.tls ? &tls_ : nullptr), false);
  made->wire->ends_at(end);
  made->wire->expires_after(r.connect_timeout);
  auto handshaken = co_await made->wire->handshake_as_client(r.to.bare_host());
  if (!handshaken) co_return made->reason(handshaken.error(), r.is_cleanup);
  co_return std::move(made);
}

task<result<http_response>> http_client::send(const http_request& r, std::string_view body, std::size_t max) {
  auto head = head_of(r, body.size(), false);
  const bool is_body_copied = body.size() <= max_copied_body;
  if (is_body_copied) head += body;
  const auto end = end_of(r.deadline);
  for (bool is_retry = false;; is_retry = true) {
    auto on = co_await connect(r, is_retry, end);
    if (!on) co_return on.error();
    auto& wire = *(*on)->wire;
    wire.expires_after(r.idle_timeout);
    auto written = co_await wire.write(head);
    if (written && !is_body_copied) {
      wire.expires_after(r.idle_timeout * 4); // the whole body is one wait
      written = co_await wire.write(body);
    }
    response_reader reader(wire, {max, r.truncates_response, r.idle_timeout, r.header_timeout, r.method == "HEAD"});
    // Read even when writing failed: the server may have responded early and closed.
    auto answer = co_await reader.read();
    if (answer) {
      if (reader.is_reusable() && written) (*on)->keep();
      co_return answer;
    }
    const bool was_dead = (*on)->was_used_before && !reader.has_received() && answer.error().code == errc::disconnected;
    if (!was_dead || is_retry)
      co_return (*on)->reason({answer.error().code, r.to.origin() + ": " + answer.error().on}, r.is_cleanup);
  }
}

task<result<std::unique_ptr<http_upload>>> http_client::upload(const http_request& r, std::uint64_t length) {
  const auto head = head_of(r, length, true);
  const auto end = end_of(r.deadline);
  response_limits limits;
  limits.idle_timeout = r.idle_timeout;
  limits.header_timeout = r.header_timeout;
  for (bool is_retry = false;; is_retry = true) {
    auto on = co_await connect(r, is_retry, end);
    if (!on) co_return on.error();
    auto& wire = *(*on)->wire;
    wire.expires_after(r.idle_timeout);
    auto step = co_await wire.write(head);
    bool accepts_body = true;
    while (step && wire.ahead().size() < 12) {
      wire.expires_after(continue_timeout);
      auto n = co_await wire.read_ahead(4096);
      if (n && *n == 0) step = failure{errc::disconnected, "the server closed the connection without a response"};
      if (!n && (n.error().code != errc::timed_out || steady_clock::now() >= end)) step = n.error();
      if (!n) break;
    }
    if (step) {
      // The status line has arrived: "HTTP/1.1 100" or a final response. Silence also means: send the body.
      const auto ahead = wire.ahead();
      accepts_body = ahead.size() < 12 || ahead.substr(9).starts_with("1");
      wire.ends_at(clock_point::max());
      co_return std::make_unique<http_upload>(std::move(*on), limits, accepts_body);
    }
    if (!(*on)->was_used_before || is_retry)
      co_return (*on)->reason({step.error().code, r.to.origin() + ": " + step.error().on}, r.is_cleanup);
  }
}

} // namespace postern
