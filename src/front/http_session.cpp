#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/random.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/client_network.hpp>
#include <postern/front/cors.hpp>
#include <postern/front/http_session.hpp>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <optional>
#include <utility>

namespace postern::front {

using namespace std::chrono_literals;

namespace {

metrics::counter refused_requests("postern_bad_requests_total", "Requests refused before they reached a route", "");

// A connection's own memory has room for a header of this size. The memory for a larger one is taken like a body's.
constexpr std::size_t usual_header = 4 << 10; // bytes

// Unique in the process, unlikely to repeat in another one. Not a secret.
std::string new_request_id() {
  thread_local std::uint64_t next = [] {
    std::uint64_t n = 0;
    random_bytes({reinterpret_cast<unsigned char*>(&n), sizeof n});
    return n;
  }();
  static constexpr char digits[] = "0123456789abcdef";
  next += 0x9e3779b97f4a7c15; // an odd step visits every value once, in an order that looks random
  std::string text(16, '0');
  for (std::size_t i = 0; i < 16; ++i) text[i] = digits[next >> (4 * i) & 15];
  return text;
}

// Whether the bytes have a CR without LF, or a LF without CR. A CR at the end does not count: its LF may still arrive.
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

// The path and query of a target. A server must accept the absolute form too (RFC 9112 §3.2.2).
std::string_view origin_form(std::string_view target) {
  const auto inside = target.starts_with('/') ? target : target_of(target);
  return inside.empty() ? target : inside;
}

} // namespace

task<> http_session::run() {
  connection_.expires_after(limits_.header_timeout);
  auto ready = co_await connection_.handshake();
  bool goes_on = ready.has_value();
  while (goes_on) goes_on = co_await serve_request();
}

task<> http_session::refuse(failure why) {
  refused_requests.add();
  const auto id = new_request_id();
  log::info("request refused",
            {{"request", id}, {"client", connection_.peer_address().to_string()}, {"why", describe(why)}});
  out_.clear();
  append_response(out_, readable_refusal(make_problem(why, id)), false, false, id);
  connection_.expires_after(5s);
  auto written = co_await connection_.write(out_);
  if (written) co_await connection_.linger(1 << 20, 2s);
}

// The next header block, a view into the connection's buffer. errc::disconnected when the client left between requests.
task<result<std::string_view>> http_session::read_header() {
  auto& c = connection_;
  const std::size_t max = limits_.request_header ? limits_.request_header : session_limits::max_header;
  bool begun = !c.ahead().empty(), skipped = false;
  c.set_idle(!begun);
  c.expires_after(begun ? limits_.header_timeout : limits_.idle_timeout);
  for (std::size_t searched = 0;;) {
    auto ahead = c.ahead();
    // RFC 9112 §2.2: a server should ignore an empty line before a request. One is enough.
    if (!skipped && ahead.starts_with("\r\n")) {
      skipped = true;
      c.use(2);
      ahead = c.ahead();
    }
    const auto end = ahead.find("\r\n\r\n", searched);
    if (end != ahead.npos && end + 4 <= max) co_return ahead.substr(0, end + 4);
    if (ahead.size() >= max)
      co_return failure{errc::header_too_large, "limits.request_header is " + std::to_string(max) + " bytes"};
    // A header with other line ends would never be complete by the rule above. Reject it now, not at the timeout.
    if (has_bare_line_end(ahead, searched)) co_return failure{errc::bad_request, "a line does not end in CRLF"};
    searched = ahead.size() < 3 ? 0 : ahead.size() - 3;
    auto n = co_await c.read_ahead(max);
    // An empty line alone is no request.
    if (!n)
      co_return c.ahead().empty() && n.error().code == errc::timed_out ? failure{errc::disconnected, "idle"}
                                                                       : n.error();
    if (*n == 0)
      co_return c.ahead().empty() ? failure{errc::disconnected, "done"}
                                  : failure{errc::bad_request, "the header ended too soon"};
    if (!std::exchange(begun, true)) {
      c.set_idle(false);
      c.expires_after(limits_.header_timeout); // one deadline for the whole header, however slowly it arrives
    }
  }
}

// Serves one request. Returns whether the connection can serve another.
task<bool> http_session::serve_request() {
  auto header = co_await read_header();
  if (!header) {
    const auto why = header.error();
    if (why.code != errc::disconnected) co_await refuse(why);
    co_return false;
  }
  auto how = examine_header(*header);
  if (!how) {
    co_await refuse(how.error());
    co_return false;
  }
  std::optional<http::request_parser<http::empty_body>> parser(std::in_place);
  parser->body_limit(boost::none); // each endpoint has its own limit
  parser->header_limit(static_cast<std::uint32_t>(header->size() + 1));
  boost::system::error_code ec;
  parser->put(asio::const_buffer(header->data(), header->size()), ec);
  if (ec && ec != http::error::need_more && !parser->is_header_done()) {
    co_await refuse(failure{errc::bad_request, "the header: " + ec.message()});
    co_return false;
  }
  const auto header_size = header->size();
  connection_.use(header_size);

  const auto& message = parser->get();
  const auto target = origin_form(message.target());
  const auto question = target.find('?');
  const auto client = proxies_.client_address(connection_.peer_address(), message.base());
  auto network = network_of(client).to_string();
  allowance share(shared_, co_await asio::this_coro::executor, network);
  body_reader body(connection_, *how, limits_.body, share);
  request r{message.method(),
            target.substr(0, question),
            question == target.npos ? std::string_view{} : target.substr(question + 1),
            message.base(),
            body,
            share,
            client.to_string(),
            std::move(network),
            new_request_id(),
            connection_.is_secure(),
            {}};
  if (message.version() >= 11) r.send_interim = [this](response made) { return send_interim(std::move(made)); };
  connection_.expires_after(0ms);                 // endpoints have their own deadlines, and reading the body sets one
  std::optional<connection_count::ticket> ticket; // held until the response, or the event stream, has ended
  const auto made = co_await answer(r, client, header_size, ticket);
  // Before the response: a client that is slow to read it, or lingers, keeps no memory. The response needs no field.
  share.give_all_back();
  parser.reset();
  co_return co_await respond(made, r, *how, body);
}

task<result<void>> http_session::send_interim(response made) {
  std::string out;
  append_interim(out, made);
  connection_.expires_after(limits_.body.max_silence);
  auto written = co_await connection_.write(out);
  connection_.expires_after(0ms);
  co_return written;
}

task<response> http_session::answer(request& r, const asio::ip::address& client, std::size_t header_size,
                                    std::optional<connection_count::ticket>& ticket) {
  const auto peer = unmapped(connection_.peer_address());
  if (client != peer) { // a proxy's own requests, such as health checks, have no limit
    ticket = count_.enter_behind_proxy(client);
    if (!ticket) co_return make_problem(failure{errc::unavailable, "limits.connections_per_address is reached"}, r.id);
  }
  if (header_size > usual_header) {
    auto taken = co_await r.share.take_memory(header_size);
    if (!taken) co_return make_problem(taken.error(), r.id);
  }
  co_return co_await call_endpoint(answer_, r);
}

task<bool> http_session::respond(const response& made, const request& r, const framing& how, const body_reader& body) {
  const bool is_head = r.method == http::verb::head;
  const bool unread = !body.is_complete();
  bool keep_alive =
      how.keep_alive && !made.close && (!made.next_piece || made.length) && !unread && !all_.is_draining();
  out_.clear();
  append_response(out_, made, keep_alive, is_head, r.id);
  if (limits_.body.max_silence.count()) connection_.expires_after(limits_.body.max_silence);
  auto written = co_await connection_.write(out_);
  if (!written) co_return false;
  if (made.next_piece && !made.length && !is_head) {
    co_await write_pieces(made);
    co_return false;
  }
  if (made.next_piece && !is_head) {
    const bool is_whole = co_await write_to_length(made);
    if (!is_whole) co_return false;
    keep_alive = keep_alive && !all_.is_draining(); // the body may have taken long
  }
  // A client that is still sending its body must be able to read the response first.
  const auto max_time = made.status == 408 ? 500ms : unread ? 10s : 1s;
  if (!keep_alive) co_await connection_.linger(unread ? 256ull << 20 : 64 << 10, max_time);
  co_return keep_alive;
}

// The rest of a body whose length is known. A drain waits for it. Returns whether all of it was written.
task<bool> http_session::write_to_length(const response& made) {
  for (auto left = *made.length - made.body.size(); left > 0;) {
    connection_.expires_after(0ms); // next_piece has its own deadlines
    auto piece = co_await made.next_piece();
    if (!piece || piece->size() > left) co_return false;
    if (piece->empty()) continue;
    left -= piece->size();
    if (limits_.body.max_silence.count()) connection_.expires_after(limits_.body.max_silence);
    auto written = co_await connection_.write(*piece);
    if (!written) co_return false;
  }
  co_return true;
}

// A drain cuts the connection at once: a client that watches asks another node.
task<> http_session::write_pieces(const response& made) {
  connection_.set_idle(true);
  while (!all_.is_draining() && connection_.is_quiet()) {
    connection_.expires_after(0ms); // next_piece has its own deadlines
    auto piece = co_await made.next_piece();
    if (!piece) break;
    if (piece->empty()) continue;
    connection_.expires_after(5s);
    auto written = co_await connection_.write(*piece);
    if (!written) break;
  }
}

} // namespace postern::front
