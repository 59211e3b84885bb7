#include <postern/base/dates.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/front/http_message.hpp>

#include <boost/beast/http/status.hpp>

#include <charconv>
#include <chrono>

namespace postern::front {
namespace {

// The Date field of this second; made once a second and thread.
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

void add_retry_after(response& r, errc code) {
  if (r.status == 503 || r.status == 429) r.with("Retry-After", code == errc::too_many_requests ? "1" : "5");
  if (r.status == 401) r.with("WWW-Authenticate", "Bearer");
}

} // namespace

response text_answer(int status, std::string_view content_type, std::string body) {
  response r;
  r.status = status;
  r.content_type = content_type;
  r.body = std::move(body);
  return r;
}

response redirect_to(std::string url) {
  response r;
  r.status = 303;
  r.with("Location", std::move(url));
  return r;
}

std::string text_for_client(const failure& why) {
  const auto& row = text_of(why.code);
  return row.status < 500 ? describe(why) : std::string(row.sentence);
}

namespace {

// What the client is not told is found by the request's id.
void log_fault(const failure& why, std::string_view request_id) {
  if (text_of(why.code).status >= 500)
    log::warning("request failed", {{"request", request_id}, {"why", describe(why)}});
}

} // namespace

response problem(const failure& why, std::string_view request_id) {
  log_fault(why, request_id);
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
  auto r = text_answer(row.status, "application/problem+json", w.take());
  add_retry_after(r, why.code);
  return r;
}

response s3_error(const failure& why, std::string_view resource, std::string_view request_id) {
  log_fault(why, request_id);
  const auto& row = text_of(why.code);
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>";
  xml.append(row.s3_name)
      .append("</Code><Message>")
      .append(xml_escape(text_for_client(why)))
      .append("</Message><Resource>");
  xml.append(xml_escape(resource)).append("</Resource><RequestId>").append(request_id).append("</RequestId></Error>");
  auto r = text_answer(row.status, "application/xml", std::move(xml));
  add_retry_after(r, why.code);
  return r;
}

namespace {

// Whatever was let through to here cannot begin another field or another answer.
void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append("\r\n").append(name).append(": ");
  for (const char c : value) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
}

} // namespace

void print(std::string& out, const response& r, bool keep_alive, bool head, std::string_view request_id) {
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
  if (r.status != 204 && !r.more) { // what goes on ends with the connection (RFC 9112 §6.3)
    out += "\r\nContent-Length: ";
    append_number(out, r.body.size());
  }
  out += keep_alive ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n";
  if (!head) out += r.body;
}

} // namespace postern::front
