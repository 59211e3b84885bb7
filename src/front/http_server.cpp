#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/framing.hpp>
#include <postern/front/http_server.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <atomic>

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

using reuse_port = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

} // namespace

// --- connection_count -------------------------------------------------------------------------------

std::optional<connection_count::place> connection_count::enter(const asio::ip::address& who) {
  std::lock_guard lock(mutex_);
  auto& here = by_address_[who];
  if ((most_ && all_ >= most_) || (most_per_address_ && here >= most_per_address_)) {
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
    acceptor_.set_option(reuse_port(true));
    acceptor_.bind(at);
    acceptor_.listen(4096);
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error("cannot listen on " + at.address().to_string() + ":" + std::to_string(at.port()) + ": " +
                             e.code().message() +
                             "; is another program using that port? See server.listen and server.admin_listen");
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
    auto place = counts_.enter(peer.address());
    if (place)
      sessions_.start(session(std::move(socket), std::move(*place)));
    else
      sessions_.start(turn_away(std::move(socket)));
  }
}

task<> http_server::drain(std::chrono::milliseconds most, std::function<void()> on_cut) {
  boost::system::error_code ec;
  acceptor_.close(ec);
  connections_.drain();
  // The watching coroutine is a member too, and it must watch until the last session has gone.
  const auto end = std::chrono::steady_clock::now() + most;
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
  connection c(connections_, std::move(socket), options_.tls);
  open_connections.add(1);
  c.expires_after(options_.limits.header_timeout);
  if (co_await c.handshake()) {
    std::string out; // kept from answer to answer, so that its memory is
    while (co_await serve_one(c, out)) {
    }
  }
  open_connections.add(-1);
}

// The next header block, a view into what the connection holds. errc::disconnected when the peer left between requests.
task<result<std::string_view>> http_server::read_header(connection& c) {
  const auto& limits = options_.limits;
  const std::size_t most = limits.request_header ? limits.request_header : 1 << 20;
  c.idle(c.ahead().empty());
  c.expires_after(c.ahead().empty() ? limits.idle_timeout : limits.header_timeout);
  for (std::size_t searched = 0;;) {
    auto ahead = c.ahead();
    // Empty lines ahead of a request are for robustness (RFC 9112 §2.2); one is enough.
    if (searched == 0 && ahead.starts_with("\r\n")) {
      c.use(2);
      ahead = c.ahead();
    }
    const auto end = ahead.find("\r\n\r\n", searched);
    if (end != ahead.npos && end + 4 <= most) co_return ahead.substr(0, end + 4);
    if (ahead.size() >= most) co_return failure{errc::header_too_large, "at most " + std::to_string(most) + " bytes"};
    // A header whose lines end in a bare LF would never end by the rule above: refuse it now, not at the timeout.
    if (ahead.find("\n\n") != ahead.npos) co_return failure{errc::bad_request, "a line that does not end in CRLF"};
    searched = ahead.size() < 3 ? 0 : ahead.size() - 3;
    const bool was_empty = ahead.empty();
    auto n = co_await c.read_ahead(most);
    if (!n) co_return was_empty&& n.error().code == errc::timed_out ? failure{errc::disconnected, "idle"} : n.error();
    if (*n == 0)
      co_return was_empty ? failure{errc::disconnected, "done"}
                          : failure{errc::bad_request, "the header ended too soon"};
    if (was_empty) {
      c.idle(false);
      c.expires_after(limits.header_timeout); // from the first byte, however slowly the others come
    }
  }
}

std::string http_server::client_of(const connection& c, const http::fields& fields) const {
  const auto& peer = c.peer();
  const bool trusted = peer.is_v4() ? is_in(proxies_v4_, peer.to_v4()) : is_in(proxies_v6_, peer.to_v6());
  if (trusted) {
    // The last hop that the proxy added is the only one that it vouches for.
    const auto found = fields.find("X-Forwarded-For");
    if (found != fields.end()) {
      std::string_view all(found->value());
      const auto comma = all.rfind(',');
      auto last = comma == all.npos ? all : all.substr(comma + 1);
      while (last.starts_with(' ')) last.remove_prefix(1);
      boost::system::error_code ec;
      const auto said = asio::ip::make_address(last, ec);
      if (!ec) return said.to_string();
    }
  }
  return peer.to_string();
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
  std::string_view target(message.target());
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
  unsigned long port = 65536;
  const auto digits = text.substr(colon + 1);
  if (!digits.empty() && digits.size() <= 5 && digits.find_first_not_of("0123456789") == digits.npos)
    port = std::stoul(digits);
  if (ec || port > 65535) fail();
  return {address, static_cast<unsigned short>(port)};
}

} // namespace postern::front
