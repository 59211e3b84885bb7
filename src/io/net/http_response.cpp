#include <postern/base/text.hpp>
#include <postern/io/net/http_response.hpp>
#include <postern/io/net/wire.hpp>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <optional>

namespace postern {
namespace {

namespace http = boost::beast::http;
using std::chrono::steady_clock;

constexpr std::size_t max_header = 32 << 10;

http_response taken_from(http::message<false, http::string_body> m) {
  http_response out;
  out.status = static_cast<int>(m.result_int());
  for (const auto& f : m)
    out.fields.emplace_back(lower({f.name_string().data(), f.name_string().size()}), std::string(f.value()));
  out.body = std::move(m.body());
  return out;
}

} // namespace

std::string_view http_response::field(std::string_view name) const {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; });
  return found == fields.end() ? std::string_view{} : std::string_view(found->second);
}

// One message, interim or final.
task<result<http_response>> response_reader::read_message() {
  http::response_parser<http::string_body> parser;
  parser.eager(true);
  parser.header_limit(max_header);
  parser.body_limit(limits_.max_body);
  parser.skip(limits_.is_to_head);
  boost::system::error_code ec;
  std::optional<steady_clock::time_point> begun; // when the first byte was there
  for (;;) {
    if (const auto ahead = from_.ahead(); !ahead.empty()) {
      has_received_ = true;
      from_.use(parser.put(asio::const_buffer(ahead.data(), ahead.size()), ec));
      if (ec == http::error::body_limit && limits_.truncates) co_return taken_from(parser.release()); // header complete
      if (ec == http::error::body_limit)
        co_return failure{errc::payload_too_large,
                          "the response is larger than " + std::to_string(limits_.max_body) + " bytes"};
      if (ec && ec != http::error::need_more)
        co_return failure{errc::bad_request, "the response is not HTTP: " + ec.message()};
      if (parser.is_done()) break;
      if (!begun) begun = steady_clock::now();
    }
    if (begun && !parser.is_header_done() && steady_clock::now() - *begun >= limits_.header_timeout)
      co_return failure{errc::timed_out, "the response's header took too long"};
    from_.expires_after(limits_.idle_timeout);
    if (from_.is_expired()) co_return failure{errc::timed_out, "the request's deadline has passed"};
    // The parser does not take an incomplete line or chunk header. The buffer must have room for all of it.
    auto n = co_await from_.read_ahead(std::max<std::size_t>(64 << 10, max_header * 2));
    if (!n) co_return n.error();
    if (*n > 0) continue;
    if (!parser.got_some())
      co_return failure{errc::disconnected, "the server closed the connection without a response"};
    parser.put_eof(ec);
    if (ec || !parser.is_done()) co_return failure{errc::disconnected, "the server closed in the middle of a response"};
    break;
  }
  is_reusable_ = parser.get().keep_alive() && !parser.need_eof();
  co_return taken_from(parser.release());
}

task<result<http_response>> response_reader::read() {
  for (int interim = 0; interim <= max_interim_responses; ++interim) {
    auto message = co_await read_message();
    if (!message || message->status >= 200) co_return message;
  }
  co_return failure{errc::bad_request, "more than " + std::to_string(max_interim_responses) + " interim responses"};
}

} // namespace postern
