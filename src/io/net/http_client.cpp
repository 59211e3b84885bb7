#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/net/wire.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <map>
#include <stdexcept>

namespace postern {

namespace http = boost::beast::http;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t max_idle = 64;           // an address and thread
constexpr auto longest_idle = 15s;             // S3 closes after some 20 s
constexpr auto patience_for_continue = 3000ms; // RFC 9110 §10.1.1 forbids to wait for ever
constexpr std::size_t largest_header = 32 << 10;
constexpr std::size_t max_together = 8 << 10; // a body that is copied behind its header: one packet instead of two

metrics::counter dialled("postern_client_connections_total", "Connections that were opened to stores and other servers",
                         "");

} // namespace

// --- answers ----------------------------------------------------------------------------------------

std::string_view http_response::field(std::string_view name) const {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; });
  return found == fields.end() ? std::string_view{} : std::string_view(found->second);
}

// --- the connections of one thread ------------------------------------------------------------------

namespace {

// Keeps idle connections, and watches the deadlines of those in use. One for each io_context, and gone with it.
class client_connections final : public asio::execution_context::service {
public:
  using key_type = client_connections;
  static asio::execution_context::id id;
  using key = std::pair<const void*, http_address>; // whose TLS settings, and where to

  explicit client_connections(asio::execution_context& on)
      : service(on), executor_(static_cast<asio::io_context&>(on).get_executor()), all_(executor_),
        watching_(executor_) {}

  connections& all() { return all_; }

  void stop() {
    stopped_ = true;
    idle_.clear();
    all_.cut_all();
  }
  bool stopped() const { return stopped_; }

  void begin_use() {
    ++used_;
    if (watching_.size() == 0) watching_.start(watch());
  }
  void end_use() { --used_; }

  std::unique_ptr<connection> take(const key& of) {
    auto& kept = idle_[of];
    while (!kept.empty()) {
      auto last = std::move(kept.back());
      kept.pop_back();
      if (steady_clock::now() - last.since < longest_idle && last.c->is_quiet()) return std::move(last.c);
    }
    return nullptr;
  }

  void keep(const key& of, std::unique_ptr<connection> c) {
    auto& kept = idle_[of];
    std::erase_if(kept, [](const auto& i) { return steady_clock::now() - i.since >= longest_idle; });
    if (kept.size() >= max_idle) return;
    c->expires_after(0ms);
    kept.push_back({std::move(c), steady_clock::now()});
  }

private:
  struct idle {
    std::unique_ptr<connection> c;
    steady_clock::time_point since;
  };

  // Runs only while something is in use, so that a loop with nothing else to do can end.
  task<> watch() {
    timer wakes(executor_);
    boost::system::error_code ec;
    while (used_ > 0) {
      wakes.expires_after(100ms);
      co_await wakes.async_wait(asio::redirect_error(use_task, ec));
      all_.look();
    }
  }
  void shutdown() override { idle_.clear(); }

  io_executor executor_;
  connections all_;
  group watching_;
  std::map<key, std::vector<idle>> idle_;
  std::size_t used_ = 0;
  bool stopped_ = false;
};

asio::execution_context::id client_connections::id;

} // namespace

// A connection in use. Given back by keep, else cut.
class outgoing {
public:
  outgoing(client_connections& among, client_connections::key of, std::unique_ptr<connection> c, bool used)
      : wire(std::move(c)), used_before(used), among_(among), of_(std::move(of)) {
    among_.begin_use();
  }
  outgoing(const outgoing&) = delete;
  outgoing& operator=(const outgoing&) = delete;
  ~outgoing() { among_.end_use(); }
  void keep() { among_.keep(of_, std::move(wire)); }
  // What broke because this thread was told to stop.
  failure reason(failure f, bool cleans_up = false) const {
    if (among_.stopped() && !cleans_up) f.code = errc::cancelled;
    return f;
  }

  std::unique_ptr<connection> wire;
  const bool used_before;

private:
  client_connections& among_;
  client_connections::key of_;
};

namespace {

address_verdict judge(const asio::ip::address& a) {
  if (a.is_v4()) return judge_address(a.to_v4().to_bytes());
  return judge_address(a.to_v6().to_bytes());
}

// Those that may be dialled. errc::forbidden when there is none.
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

http_response taken_from(http::message<false, http::string_body>&& m) {
  http_response out;
  out.status = static_cast<int>(m.result_int());
  for (const auto& f : m)
    out.fields.emplace_back(lower({f.name_string().data(), f.name_string().size()}), std::string(f.value()));
  out.body = std::move(m.body());
  return out;
}

struct reading {
  std::string_view method;
  std::size_t max = 1 << 20;
  std::chrono::milliseconds silence{30'000};
  bool cut = false;      // of a larger body what came is enough
  bool any = false;      // has a byte come?
  bool reusable = false; // may another request follow?
};

// The next message, which may be an interim one (1xx).
task<result<http_response>> read_message(connection& c, reading& how) {
  http::response_parser<http::string_body> parser;
  parser.eager(true);
  parser.header_limit(largest_header);
  parser.body_limit(how.max);
  parser.skip(how.method == "HEAD");
  boost::system::error_code ec;
  for (;;) {
    if (const auto ahead = c.ahead(); !ahead.empty()) {
      how.any = true;
      c.use(parser.put(asio::const_buffer(ahead.data(), ahead.size()), ec));
      if (ec == http::error::body_limit && how.cut) co_return taken_from(parser.release()); // its header is whole
      if (ec == http::error::body_limit)
        co_return failure{errc::payload_too_large, "the answer is larger than " + std::to_string(how.max) + " bytes"};
      if (ec && ec != http::error::need_more)
        co_return failure{errc::bad_request, "the answer is not HTTP: " + ec.message()};
      if (parser.is_done()) break;
    }
    c.expires_after(how.silence);
    // What the parser left is the beginning of something longer: room for that, and more.
    auto n = co_await c.read_ahead(std::max<std::size_t>(64 << 10, largest_header * 2));
    if (!n) co_return n.error();
    if (*n > 0) continue;
    if (!parser.got_some()) co_return failure{errc::disconnected, "no answer"};
    parser.put_eof(ec);
    if (ec || !parser.is_done()) co_return failure{errc::disconnected, "the answer ended too soon"};
    break;
  }
  how.reusable = parser.get().keep_alive() && !parser.need_eof();
  co_return taken_from(parser.release());
}

task<result<http_response>> read_answer(connection& c, reading& how) {
  for (;;) {
    auto message = co_await read_message(c, how);
    if (!message || message->status >= 200) co_return message;
  }
}

} // namespace

// --- http_upload ------------------------------------------------------------------------------------

http_upload::http_upload(std::unique_ptr<outgoing> on, std::chrono::milliseconds silence, bool welcome)
    : on_(std::move(on)), silence_(silence), welcome_(welcome) {}
http_upload::~http_upload() = default;

task<result<void>> http_upload::write(std::span<const char> bytes) {
  on_->wire->expires_after(silence_);
  auto written = co_await on_->wire->write({bytes.data(), bytes.size()});
  if (!written) co_return on_->reason(written.error());
  co_return result<void>{};
}

task<result<http_response>> http_upload::finish(bool whole) {
  reading how;
  how.silence = silence_;
  auto answer = co_await read_answer(*on_->wire, how);
  // A server that answered without the body still expects it: nothing else can be said on this connection.
  if (!answer) co_return on_->reason(answer.error());
  if (how.reusable && welcome_ && whole) on_->keep();
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

void http_client::stop(asio::io_context& on) { asio::use_service<client_connections>(on).stop(); }

task<result<std::unique_ptr<outgoing>>> http_client::connect(const http_request& r, bool fresh) {
  auto executor = co_await asio::this_coro::executor;
  auto& mine = asio::use_service<client_connections>(executor.context());
  const failure stopping{errc::cancelled, "the server is stopping"};
  if (mine.stopped() && !r.cleans_up) co_return stopping;
  const client_connections::key key{&tls_, r.to};
  if (!fresh)
    if (auto kept = mine.take(key)) co_return std::make_unique<outgoing>(mine, key, std::move(kept), true);
  auto socket = co_await within(r.dial, dial(connect_to_.value_or(r.to), names_, r.dial, peers_),
                                "connecting to " + r.to.origin());
  if (mine.stopped() && !r.cleans_up) co_return stopping; // meanwhile
  if (!socket) co_return socket.error();
  auto made = std::make_unique<outgoing>(
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
    reading how{r.method, max, r.silence, r.cuts_answer};
    // Even when writing failed: a server that refuses early has said why.
    auto answer = co_await read_answer(wire, how);
    if (answer) {
      if (how.reusable && written) (*on)->keep();
      co_return answer;
    }
    const bool was_dead = (*on)->used_before && !how.any && answer.error().code == errc::disconnected;
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
    if (!(*on)->used_before || fresh)
      co_return (*on)->reason({step.error().code, r.to.origin() + ": " + step.error().on}, r.cleans_up);
  }
}

} // namespace postern
