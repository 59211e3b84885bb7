#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/random.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/framing.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/http_server.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <atomic>
#include <cerrno>
#include <sys/socket.h>

namespace postern::front {

using namespace std::chrono_literals;

namespace {

metrics::gauge open_connections("postern_connections", "Open connections", "");
metrics::counter turned_away("postern_connections_refused_total", "Connections over the limits", "");
metrics::counter bad_requests("postern_bad_requests_total", "Requests refused before they had a route", "");

// Distinct within the process and hard to collide between processes; not a secret.
std::string new_request_id() {
  thread_local std::uint64_t next = [] {
    std::uint64_t n = 0;
    random_bytes({reinterpret_cast<unsigned char*>(&n), sizeof n});
    return n;
  }();
  static constexpr char digits[] = "0123456789abcdef";
  next += 0x9e3779b97f4a7c15; // steps through all values, in no order that shows
  std::string text(16, '0');
  for (std::size_t i = 0; i < 16; ++i) text[i] = digits[next >> (4 * i) & 15];
  return text;
}

bool is_in(const auto& networks, const auto& address) {
  for (const auto& n : networks)
    if (n.hosts().find(address) != n.hosts().end() || n.address() == address) return true;
  return false;
}

// An address as a proxy writes it: blanks and quotes around it, a port behind it, brackets around IPv6.
std::string bare_address(std::string_view text) {
  text = trim(text, " \t\"");
  if (text.starts_with('[')) return std::string(text.substr(1, text.find(']') - 1));
  const auto colon = text.find(':');
  const bool has_port = colon != text.npos && text.find(':', colon + 1) == text.npos;
  return std::string(has_port ? text.substr(0, colon) : text);
}

// The value of for= in one element of Forwarded (RFC 7239 §4).
std::string_view forwarded_for(std::string_view element) {
  while (!element.empty()) {
    const auto semicolon = std::min(element.find(';'), element.size());
    auto pair = element.substr(0, semicolon);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.size() > 4 && iequals(pair.substr(0, 4), "for=")) return pair.substr(4);
    element.remove_prefix(std::min(semicolon + 1, element.size()));
  }
  return {};
}

// Is there a CR without its LF, or a LF without its CR? The last byte may still get its other half.
bool has_bare_line_end(std::string_view text, std::size_t from) {
  for (auto at = text.find_first_of("\r\n", from); at != text.npos; at = text.find_first_of("\r\n", at)) {
    if (text[at] == '\n') {
      if (at == 0 || text[at - 1] != '\r') return true;
      ++at;
    } else {
      if (at + 1 == text.size()) return false;
      if (text[at + 1] != '\n') return true;
      at += 2;
    }
  }
  return false;
}

// The path and query of a target, also of one in absolute form, which must be taken (RFC 9112 §3.2.2).
std::string_view origin_form(std::string_view target) {
  const auto inside = target.starts_with('/') ? target : target_of(target);
  return inside.empty() ? target : inside;
}

struct counted_connection {
  counted_connection() { open_connections.add(1); }
  ~counted_connection() { open_connections.add(-1); }
};

std::runtime_error cannot_listen(const asio::ip::tcp::endpoint& at, const boost::system::system_error& why) {
  return std::runtime_error("cannot listen on " + at.address().to_string() + ":" + std::to_string(at.port()) + ": " +
                            why.code().message() +
                            "; is another program using that port? See server.listen and server.admin_listen");
}

// Asio has no public name for this option.
void let_share_port(tcp_acceptor& acceptor) {
  const int on = 1;
  if (::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
    throw boost::system::system_error(errno, boost::system::system_category(), "SO_REUSEPORT");
}

} // namespace

// --- connection_count -------------------------------------------------------------------------------

std::optional<connection_count::place> connection_count::enter(const asio::ip::address& who, bool counted) {
  std::lock_guard lock(mutex_);
  auto& here = by_address_[who];
  if ((max_ && all_ >= max_) || (counted && max_per_address_ && here >= max_per_address_)) {
    if (here == 0) by_address_.erase(who);
    return std::nullopt;
  }
  ++here;
  ++all_;
  return place(*this, who);
}

void connection_count::leave(const asio::ip::address& who) {
  std::lock_guard lock(mutex_);
  --all_;
  if (const auto here = by_address_.find(who); --here->second == 0) by_address_.erase(here);
}

// --- http_server ------------------------------------------------------------------------------------

http_server::http_server(asio::io_context& on, const asio::ip::tcp::endpoint& at, server_options options,
                         connection_count& counts, answer_function answer)
    : on_(on), options_(std::move(options)), counts_(counts), answer_(std::move(answer)), acceptor_(on.get_executor()),
      connections_(on.get_executor()), sessions_(on.get_executor()) {
  for (const auto& text : options_.trusted_proxies) {
    const bool v6 = text.find(':') != text.npos;
    const auto with_length = text.find('/') != text.npos ? text : text + (v6 ? "/128" : "/32");
    if (v6)
      proxies_v6_.push_back(asio::ip::make_network_v6(with_length));
    else
      proxies_v4_.push_back(asio::ip::make_network_v4(with_length));
  }
  try {
    acceptor_.open(at.protocol());
    acceptor_.set_option(asio::socket_base::reuse_address(true));
    let_share_port(acceptor_);
    acceptor_.bind(at);
    acceptor_.listen(4096);
  } catch (const boost::system::system_error& e) {
    throw cannot_listen(at, e);
  }
}

http_server::~http_server() = default;

task<> http_server::run() {
  sessions_.start(connections_.watch());
  boost::system::error_code ec;
  while (acceptor_.is_open()) {
    tcp_socket socket(on_.get_executor());
    co_await acceptor_.async_accept(socket, asio::redirect_error(use_task, ec));
    if (!acceptor_.is_open()) break;
    if (ec) {
      // Most often no file descriptor is left: waiting gives some back.
      if (ec != asio::error::connection_aborted) log::warning("accept failed", {{"why", ec.message()}});
      timer pause(on_.get_executor(), 100ms);
      co_await pause.async_wait(asio::redirect_error(use_task, ec));
      continue;
    }
    const auto peer = socket.remote_endpoint(ec);
    if (ec) continue;
    auto place = counts_.enter(peer.address(), !is_trusted(peer.address()));
    if (place)
      sessions_.start(session(std::move(socket), std::move(*place)));
    else
      sessions_.start(turn_away(std::move(socket)));
  }
}

void http_server::stop_accepting() {
  boost::system::error_code ec;
  acceptor_.close(ec);
  connections_.drain();
}

task<> http_server::drain(std::chrono::steady_clock::time_point end, std::function<void()> on_cut) {
  stop_accepting();
  boost::system::error_code ec;
  // The watching coroutine is a member too, and it must watch until the last session has gone.
  timer tick(on_.get_executor());
  while (sessions_.size() > 1 && std::chrono::steady_clock::now() < end) {
    tick.expires_after(20ms);
    co_await tick.async_wait(asio::redirect_error(use_task, ec));
  }
  if (sessions_.size() > 1) {
    log::warning("drain timed out, cutting connections", {{"connections", sessions_.size() - 1}});
    on_cut();
  }
  connections_.cut_all();
  connections_.stop();
  co_await sessions_.wait(10s);
}

// Over the limits: say so and leave, without reading what was asked.
task<> http_server::turn_away(tcp_socket socket) {
  turned_away.add();
  if (options_.tls) co_return; // a handshake is what we have no room for
  connection c(connections_, std::move(socket), nullptr);
  co_await refuse(c, failure{errc::unavailable, "too many connections"});
}

task<bool> http_server::refuse(connection& c, const failure& why) {
  bad_requests.add();
  const auto id = new_request_id();
  log::info("request refused", {{"request", id}, {"client", c.peer().to_string()}, {"why", describe(why)}});
  std::string out;
  print(out, problem(why, id), false, false, id);
  c.expires_after(5s);
  if (co_await c.write(out)) co_await c.linger(1 << 20, 2s);
  co_return false;
}

task<> http_server::session(tcp_socket socket, connection_count::place place) {
  (void)place; // held for as long as this runs
  const counted_connection counted;
  connection c(connections_, std::move(socket), options_.tls);
  c.expires_after(options_.limits.header_timeout);
  if (co_await c.handshake()) {
    std::string out; // kept from answer to answer, so that its memory is
    while (co_await serve_one(c, out)) {
    }
  }
}

// The next header block, a view into what the connection holds. errc::disconnected when the peer left between requests.
task<result<std::string_view>> http_server::read_header(connection& c) {
  const auto& limits = options_.limits;
  const std::size_t max = limits.request_header ? limits.request_header : 1 << 20;
  c.idle(c.ahead().empty());
  c.expires_after(c.ahead().empty() ? limits.idle_timeout : limits.header_timeout);
  bool begun = !c.ahead().empty(), skipped = false;
  for (std::size_t searched = 0;;) {
    auto ahead = c.ahead();
    // An empty line ahead of a request is for robustness (RFC 9112 §2.2); one is enough.
    if (!skipped && ahead.starts_with("\r\n")) {
      skipped = true;
      c.use(2);
      ahead = c.ahead();
    }
    const auto end = ahead.find("\r\n\r\n", searched);
    if (end != ahead.npos && end + 4 <= max) co_return ahead.substr(0, end + 4);
    if (ahead.size() >= max) co_return failure{errc::header_too_large, "at most " + std::to_string(max) + " bytes"};
    // A header with other line ends would never end by the rule above: refuse it now, not at the timeout.
    if (has_bare_line_end(ahead, searched)) co_return failure{errc::bad_request, "a line that does not end in CRLF"};
    searched = ahead.size() < 3 ? 0 : ahead.size() - 3;
    auto n = co_await c.read_ahead(max);
    if (!n) co_return !begun && n.error().code == errc::timed_out ? failure{errc::disconnected, "idle"} : n.error();
    if (*n == 0)
      co_return begun ? failure{errc::bad_request, "the header ended too soon"} : failure{errc::disconnected, "done"};
    if (!std::exchange(begun, true)) {
      c.idle(false);
      c.expires_after(limits.header_timeout); // from the first byte, however slowly the others come
    }
  }
}

bool http_server::is_trusted(const asio::ip::address& peer) const {
  return peer.is_v4() ? is_in(proxies_v4_, peer.to_v4()) : is_in(proxies_v6_, peer.to_v6());
}

// What the proxy says, where it is one of ours: the last hop of the last line is the only one that it vouches for, for
// all before it came from the client's side.
std::string http_server::client_of(const connection& c, const http::fields& fields) const {
  const auto& peer = c.peer();
  if (!is_trusted(peer)) return peer.to_string();
  const auto last_of = [&fields](std::string_view name) {
    std::string_view value;
    for (auto [at, end] = fields.equal_range(name); at != end; ++at) value = at->value();
    value.remove_prefix(value.rfind(',') + 1);
    return value;
  };
  boost::system::error_code ec;
  auto said = asio::ip::make_address(bare_address(last_of("X-Forwarded-For")), ec);
  if (ec) said = asio::ip::make_address(bare_address(forwarded_for(last_of("Forwarded"))), ec);
  return ec ? peer.to_string() : said.to_string();
}

// One request and its answer. Answers whether the connection can serve another.
task<bool> http_server::serve_one(connection& c, std::string& out) {
  auto header = co_await read_header(c);
  if (!header) {
    const auto why = header.error();
    if (why.code == errc::disconnected) co_return false;
    co_return co_await refuse(c, why);
  }
  auto how = examine_header(*header);
  if (!how) co_return co_await refuse(c, how.error());

  http::request_parser<http::empty_body> parser;
  parser.body_limit(boost::none); // what the body may be is for the routes to say
  parser.header_limit(static_cast<std::uint32_t>(header->size() + 1));
  boost::system::error_code ec;
  parser.put(asio::const_buffer(header->data(), header->size()), ec);
  if (ec && ec != http::error::need_more && !parser.is_header_done())
    co_return co_await refuse(c, failure{errc::bad_request, "the header"});
  c.use(header->size());

  const auto& message = parser.get();
  const auto target = origin_form(message.target());
  const auto question = target.find('?');
  body_reader body(c, *how, options_.limits.body);
  request r{message.method(),
            target.substr(0, question),
            question == target.npos ? std::string_view{} : target.substr(question + 1),
            message.base(),
            body,
            client_of(c, message.base()),
            new_request_id(),
            c.secure()};
  c.expires_after(0ms); // the routes' own waits have ends of their own; reading the body sets its own deadline
  auto answer = co_await answer_(r);

  const bool unread = !body.whole();
  const bool keep = how->keep_alive && !answer.close && !answer.more && !unread && !connections_.draining();
  out.clear();
  print(out, answer, keep, r.method == http::verb::head, r.id);
  if (options_.limits.body.silence.count()) c.expires_after(options_.limits.body.silence);
  if (!co_await c.write(out)) co_return false;
  if (answer.more && r.method != http::verb::head) co_return co_await go_on(c, answer);
  // A client in the middle of its body must be able to read why it is refused.
  const auto patience = answer.status == 408 ? 500ms : unread ? 10s : 1s;
  if (!keep) co_await c.linger(unread ? 256ull << 20 : 64 << 10, patience);
  co_return keep;
}

void require_free_port(const asio::ip::tcp::endpoint& at) {
  asio::io_context loop{1};
  tcp_acceptor alone(loop.get_executor());
  try {
    alone.open(at.protocol());
    alone.set_option(asio::socket_base::reuse_address(true));
    alone.bind(at);
  } catch (const boost::system::system_error& e) {
    throw cannot_listen(at, e);
  }
}

// The rest of an answer that goes on. A drain need not wait for it: whoever watches will ask again.
task<bool> http_server::go_on(connection& c, const response& answer) {
  c.idle(true);
  while (!connections_.draining() && c.is_quiet()) {
    c.expires_after(0ms); // its own waits have ends
    auto piece = co_await answer.more();
    if (!piece) break;
    if (piece->empty()) continue;
    c.expires_after(5s);
    if (!co_await c.write(*piece)) break;
  }
  co_return false;
}

asio::ip::tcp::endpoint parse_endpoint(const std::string& text) {
  const auto colon = text.rfind(':');
  const auto fail = [&] {
    throw std::runtime_error("\"" + text +
                             "\" is not an address to listen on; it must be like 127.0.0.1:8080 or [::1]:8080");
  };
  if (colon == text.npos) fail();
  auto host = text.substr(0, colon);
  if (host.empty()) host = "0.0.0.0";
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  const auto port = parse_number(std::string_view(text).substr(colon + 1));
  if (ec || !port || *port > 65535) fail();
  return {address, static_cast<std::uint16_t>(*port)};
}

} // namespace postern::front
