#include "connection_pool.hpp"
#include <postern/base/metrics.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/net/wire.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/redirect_error.hpp>

#include <stdexcept>

namespace postern {

using namespace std::chrono_literals;

namespace {

constexpr auto patience_for_continue = 3000ms; // RFC 9110 §10.1.1 forbids to wait for ever
constexpr std::size_t max_together = 8 << 10;  // a body that is copied behind its header: one packet instead of two

metrics::counter dialled("postern_client_connections_total", "Connections that were opened to stores and other servers",
                         "");

address_verdict judge(const asio::ip::address& a) {
  if (a.is_v4()) return judge_address(a.to_v4().to_bytes());
  return judge_address(a.to_v6().to_bytes());
}

// The addresses that may be dialled. errc::forbidden when there is none.
result<name_lookup::endpoints> allowed(const std::string& host, const name_lookup::endpoints& found, reach peers) {
  name_lookup::endpoints out;
  std::string why;
  for (const auto& f : found) {
    const auto verdict = judge(f.address());
    if (may_dial(peers, verdict.kind))
      out.push_back(f);
    else if (why.empty())
      why =
          host + " leads to " + f.address().to_string() + ", which is " + std::string(verdict.what) +
          (verdict.kind == address_kind::metadata ? " and never dialled" : ": private addresses are not allowed here");
  }
  if (out.empty()) return failure{errc::forbidden, why};
  return out;
}

task<result<tcp_socket>> dial(http_address to, name_lookup& known, std::chrono::milliseconds max, reach peers) {
  auto host = to.bare_host();
  if (host.ends_with(".localhost")) host = "localhost"; // RFC 6761 §6.3; not every resolver knows
  const auto found = co_await known.find(host, to.port, max);
  if (!found) co_return found.error();
  const auto chosen = allowed(to.host, *found, peers);
  if (!chosen) co_return chosen.error();
  tcp_socket socket(co_await asio::this_coro::executor);
  boost::system::error_code ec;
  co_await asio::async_connect(socket, *chosen, asio::redirect_error(use_task, ec));
  if (ec) co_return failure{errc::unavailable, "connecting to " + to.origin() + ": " + ec.message()};
  dialled.add();
  co_return socket;
}

// POST /path HTTP/1.1
// Host: example.com
// Content-Length: 5
std::string head_of(const http_request& r, std::uint64_t length, bool ask) {
  std::string out = r.method + " " + r.target + " HTTP/1.1\r\nHost: " + r.to.authority() + "\r\n";
  for (const auto& [name, value] : r.fields) out.append(name).append(": ").append(value).append("\r\n");
  if (length > 0 || r.method == "PUT" || r.method == "POST")
    out.append("Content-Length: ").append(std::to_string(length)).append("\r\n");
  if (ask) out += "Expect: 100-continue\r\n";
  return out += "\r\n";
}

} // namespace

// --- http_upload ------------------------------------------------------------------------------------

http_upload::http_upload(std::unique_ptr<pooled_connection> on, std::chrono::milliseconds silence, bool welcome)
    : on_(std::move(on)), silence_(silence), welcome_(welcome) {}
http_upload::~http_upload() = default;

task<result<void>> http_upload::write(std::span<const char> bytes) {
  on_->wire->expires_after(silence_);
  auto written = co_await on_->wire->write({bytes.data(), bytes.size()});
  if (!written) co_return on_->reason(written.error());
  co_return result<void>{};
}

task<result<http_response>> http_upload::finish(bool whole) {
  response_limits limits;
  limits.silence = silence_;
  response_reader reader(*on_->wire, limits);
  auto answer = co_await reader.read();
  // A server that answered without the body still expects it: nothing else can be said on this connection.
  if (!answer) co_return on_->reason(answer.error());
  if (reader.is_reusable() && welcome_ && whole) on_->keep();
  co_return answer;
}

// --- http_client ------------------------------------------------------------------------------------

http_client::http_client(http_client_options options)
    : tls_(asio::ssl::context::tls_client), connect_to_(std::move(options.connect_to)), peers_(options.peers) {
  tls_.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                   asio::ssl::context::no_tlsv1_1);
  boost::system::error_code ec;
  if (options.ca_file.empty())
    tls_.set_default_verify_paths(ec);
  else
    tls_.load_verify_file(options.ca_file, ec);
  if (ec)
    throw std::runtime_error("the CA file \"" + options.ca_file + "\" cannot be used: " + ec.message() +
                             "; it must be PEM");
  tls_.set_verify_mode(asio::ssl::verify_peer);
}

http_client::~http_client() = default;

void http_client::stop(asio::io_context& on) { asio::use_service<connection_pool>(on).stop(); }

task<result<std::unique_ptr<pooled_connection>>> http_client::connect(const http_request& r, bool fresh) {
  auto executor = co_await asio::this_coro::executor;
  auto& mine = asio::use_service<connection_pool>(executor.context());
  const failure stopping{errc::cancelled, "the server is stopping"};
  if (mine.is_stopped() && !r.cleans_up) co_return stopping;
  const connection_pool::key key{&tls_, r.to};
  if (!fresh)
    if (auto kept = mine.take(key)) co_return std::make_unique<pooled_connection>(mine, key, std::move(kept), true);
  auto socket = co_await within(r.dial, dial(connect_to_.value_or(r.to), names_, r.dial, peers_),
                                "connecting to " + r.to.origin());
  if (mine.is_stopped() && !r.cleans_up) co_return stopping; // meanwhile
  if (!socket) co_return socket.error();
  auto made = std::make_unique<pooled_connection>(
      mine, key, std::make_unique<connection>(mine.all(), std::move(*socket), r.to.tls ? &tls_ : nullptr), false);
  made->wire->expires_after(r.dial);
  auto shaken = co_await made->wire->handshake_as_client(r.to.bare_host());
  if (!shaken) co_return made->reason(shaken.error(), r.cleans_up);
  co_return std::move(made);
}

task<result<http_response>> http_client::send(const http_request& r, std::string_view body, std::size_t max) {
  auto head = head_of(r, body.size(), false);
  const bool together = body.size() <= max_together;
  if (together) head += body;
  for (bool fresh = false;; fresh = true) {
    auto on = co_await connect(r, fresh);
    if (!on) co_return on.error();
    auto& wire = *(*on)->wire;
    wire.expires_after(r.silence);
    auto written = co_await wire.write(head);
    if (written && !together) {
      wire.expires_after(r.silence * 4); // a whole body in one wait
      written = co_await wire.write(body);
    }
    response_reader reader(wire, {max, r.cuts_answer, r.silence, r.method == "HEAD"});
    // Even when writing failed: a server that refuses early has said why.
    auto answer = co_await reader.read();
    if (answer) {
      if (reader.is_reusable() && written) (*on)->keep();
      co_return answer;
    }
    const bool was_dead = (*on)->was_used_before && !reader.has_received() && answer.error().code == errc::disconnected;
    if (!was_dead || fresh)
      co_return (*on)->reason({answer.error().code, r.to.origin() + ": " + answer.error().on}, r.cleans_up);
  }
}

task<result<std::unique_ptr<http_upload>>> http_client::upload(const http_request& r, std::uint64_t length) {
  const auto head = head_of(r, length, true);
  for (bool fresh = false;; fresh = true) {
    auto on = co_await connect(r, fresh);
    if (!on) co_return on.error();
    auto& wire = *(*on)->wire;
    wire.expires_after(r.silence);
    auto step = co_await wire.write(head);
    bool welcome = true;
    while (step && wire.ahead().size() < 12) {
      wire.expires_after(patience_for_continue);
      auto n = co_await wire.read_ahead(4096);
      if (n && *n == 0) step = failure{errc::disconnected, "no answer"};
      if (!n && n.error().code != errc::timed_out) step = n.error();
      if (!n) break;
    }
    if (step) {
      // "HTTP/1.1 100" or a final answer; which one, its first line tells.
      const auto ahead = wire.ahead();
      welcome = ahead.size() < 12 || ahead.substr(9).starts_with("1");
      co_return std::make_unique<http_upload>(std::move(*on), r.silence, welcome);
    }
    if (!(*on)->was_used_before || fresh)
      co_return (*on)->reason({step.error().code, r.to.origin() + ": " + step.error().on}, r.cleans_up);
  }
}

} // namespace postern
