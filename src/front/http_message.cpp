#include <postern/base/dates.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/random.hpp>
#include <postern/front/http_message.hpp>

#include <boost/beast/http/status.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <exception>

namespace postern::front {
namespace {

metrics::counter exceptions("postern_exceptions_total", "Requests that an exception ended: faults of Postern", "");

// The Date field, formatted once a second in each thread.
std::string_view date_field() {
  thread_local seconds_clock made_for{};
  thread_local std::string text;
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (now != made_for) {
    text = "\r\nDate: " + http_date(now);
    made_for = now;
  }
  return text;
}

void append_number(std::string& out, std::uint64_t n) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
}

// In seconds.
unsigned retry_pause(errc code) {
  if (code == errc::too_many_requests) return 1;
  return code == errc::quota_exceeded ? 60 : 5; // a quota has room when another upload has ended, or tomorrow
}

// The fields that say when to retry, or how to authenticate.
void add_advice(response& r, errc code) {
  if (r.status == 503 || r.status == 429) r.with("Retry-After", retry_after(retry_pause(code)));
  if (r.status == 401) r.with("WWW-Authenticate", "Bearer");
}

// The client gets the request's id only; an operator finds the cause by it.
void log_fault(const failure& why, std::string_view request_id) {
  if (why.code == errc::internal)
    log::error("bug: a request failed", {{"request", request_id}, {"why", why.on}});
  else if (text_of(why.code).status >= 500)
    log::warning("request failed", {{"request", request_id}, {"why", describe(why)}});
}

// A control character in a value must not begin another field or another response.
void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append("\r\n").append(name).append(": ");
  for (const char c : value) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
}

} // namespace

task<response> call_endpoint(const endpoint& of, request& r) {
  std::string what;
  try {
    auto made = co_await of(r);
    co_return made;
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {
    what = "an exception of unknown type";
  }
  exceptions.add();
  co_return make_problem(failure{errc::internal, what}, r.id);
}

bool accepts(const request& r, std::string_view type) {
  return r.field(http::field::accept).find(type) != std::string_view::npos;
}

task<result<std::string>> read_text(request& r, std::size_t max) {
  const auto too_large =
      failure{errc::payload_too_large, "the body may have at most " + std::to_string(max) + " bytes"};
  if (r.body.announced_size().value_or(0) > max) co_return too_large;
  std::string text;
  std::array<char, 4096> piece;
  std::size_t paid = piece.size();
  for (;;) {
    auto n = co_await r.body.read_some(piece);
    if (!n) co_return n.error();
    if (*n == 0) co_return text;
    if (text.size() + *n > max) co_return too_large;
    if (text.size() + *n > paid) {
      auto taken = co_await r.share.take_memory(paid);
      if (!taken) co_return taken.error();
      paid *= 2;
    }
    if (text.capacity() < text.size() + *n) text.reserve(paid);
    text.append(piece.data(), *n);
  }
}

response make_response(int status, std::string_view content_type, std::string body) {
  response r;
  r.status = status;
  r.content_type = content_type;
  r.body = std::move(body);
  return r;
}

response make_redirect(std::string url) {
  response r;
  r.status = 303;
  r.with("Location", std::move(url));
  return r;
}

std::string text_for_client(const failure& why) {
  const auto& row = text_of(why.code);
  return row.status < 500 ? describe(why) : std::string(row.sentence);
}

response make_problem(const failure& why, std::string_view request_id) {
  log_fault(why, request_id);
  return problem_of(why, request_id);
}

response problem_of(const failure& why, std::string_view request_id) {
  const auto& row = text_of(why.code);
  json_writer w;
  w.begin_object();
  w.member("type", "about:blank");
  w.member("title", row.sentence);
  w.member("status", static_cast<std::uint64_t>(row.status));
  w.member("detail", text_for_client(why));
  w.member("code", row.name);
  w.member("request_id", request_id);
  w.end_object();
  auto r = make_response(row.status, "application/problem+json", w.take());
  add_advice(r, why.code);
  return r;
}

response make_s3_error(const failure& why, std::string_view resource, std::string_view request_id) {
  log_fault(why, request_id);
  const auto& row = text_of(why.code);
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>";
  xml.append(row.s3_name)
      .append("</Code><Message>")
      .append(xml_escape(text_for_client(why)))
      .append("</Message><Resource>");
  xml.append(xml_escape(resource)).append("</Resource><RequestId>").append(request_id).append("</RequestId></Error>");
  auto r = make_response(row.status, "application/xml", std::move(xml));
  add_advice(r, why.code);
  return r;
}

std::string spread_retry_after(unsigned seconds, std::uint32_t chance) {
  const auto spread = std::max(1u, seconds / 2);
  return std::to_string(seconds + chance % (spread + 1));
}

std::string retry_after(unsigned seconds) {
  std::array<unsigned char, 4> random;
  random_bytes(random);
  return spread_retry_after(seconds, std::bit_cast<std::uint32_t>(random));
}

void append_response(std::string& out, const response& r, bool keep_alive, bool is_head, std::string_view request_id) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<unsigned>(r.status));
  out += ' ';
  const auto reason = http::obsolete_reason(static_cast<http::status>(r.status));
  out.append(reason.data(), reason.size());
  out += "\r\nServer: postern";
  out += date_field();
  if (!r.content_type.empty()) out.append("\r\nContent-Type: ").append(r.content_type);
  for (const auto& [name, value] : r.fields) append_field(out, name, value);
  out.append("\r\nX-Request-Id: ").append(request_id);
  // Without a length, a body in pieces ends with the connection (RFC 9112 §6.3).
  if (r.status != 204 && (r.length || !r.next_piece)) {
    out += "\r\nContent-Length: ";
    append_number(out, r.length.value_or(r.body.size()));
  }
  out += keep_alive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n";
  if (!is_head) out += r.body;
}

void append_interim(std::string& out, const response& r) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<unsigned>(r.status));
  const auto reason = http::obsolete_reason(static_cast<http::status>(r.status));
  out.append(" ").append(r.status == 104 ? "Upload Resumption Supported"
                                         : std::string_view(reason.data(), reason.size()));
  for (const auto& [name, value] : r.fields) append_field(out, name, value);
  out += "\r\n\r\n";
}

} // namespace postern::front
