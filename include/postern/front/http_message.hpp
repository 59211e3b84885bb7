// One HTTP request and its response, as the endpoints see them, and the functions that make responses. A request lives
// in the frame of its session until its response is made; both stay on the connection's thread. The server's limits
// bound the size of a request.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/allowance.hpp>
#include <postern/io/byte_source.hpp>
#include <postern/io/tasks.hpp>

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/verb.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::front {

namespace http = boost::beast::http;

struct response;

struct request {
  http::verb method = http::verb::unknown;
  std::string_view path;  // percent-encoded, without the query
  std::string_view query; // without the ?
  const http::fields& fields;
  byte_source& body;          // the server discards what the endpoint does not read
  allowance& share;           // of memory, and of requests to the store
  std::string client_address; // the peer's, or the one that a trusted proxy reports
  std::string client_network; // what counts as one client: front/client_network
  std::string id;             // of this request: in log lines, problem responses and X-Request-Id
  bool is_secure = false;     // came over TLS
  std::string path_parameter; // the decoded parameter in the path, on routes that have one
  // Sends an interim response (RFC 9110 §15.2) ahead of the final one: its status and fields. Empty: the client's
  // version of HTTP has none.
  std::function<task<result<void>>(response)> send_interim{};

  // The value of the first field of that name; empty when there is none.
  std::string_view field(std::string_view name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? std::string_view{} : std::string_view(found->value());
  }
  std::string_view field(http::field name) const { return field(http::to_string(name)); }
};

struct response {
  int status = 200;
  std::string_view content_type;                                // empty: no body
  std::vector<std::pair<std::string_view, std::string>> fields; // the names are constants
  std::string body;
  bool close = false; // close the connection after this response
  // When set, the body continues with the pieces that this function returns, until it returns nothing; then the
  // connection closes. An empty piece is skipped. It runs on the connection's thread. It may only refer to objects that
  // outlive the server.
  std::function<task<std::optional<std::string>>()> next_piece;
  // Of the whole body, when it is known but not in `body`. After so many bytes the connection can serve another
  // request. When next_piece ends before, the connection breaks off, so that the client notices.
  std::optional<std::uint64_t> length;

  response& with(std::string_view name, std::string value) {
    fields.emplace_back(name, std::move(value));
    return *this;
  }
};

// Makes the response to one request. It may read the body. Failures that a client can cause are responses; an exception
// is a bug and becomes a 500.
using endpoint = std::function<task<response>(request&)>;

// The endpoint's response. After an exception it is a 500 with the request's id; the exception is logged and counted.
task<response> call_endpoint(const endpoint& of, request& r);

// Does the Accept field name this media type?
bool accepts(const request& r, std::string_view type);
// Reads the body to its end. errc::payload_too_large when it has more than `max` bytes, or the failures of
// byte_source::read_some and of allowance::take_memory: what exceeds 4 KiB is taken from r.share.
task<result<std::string>> read_text(request& r, std::size_t max);

response make_response(int status, std::string_view content_type, std::string body);
response make_redirect(std::string url); // 303
// application/problem+json (RFC 9457), from the one table of errors. Logs what the client must not see, with the
// request's id.
response make_problem(const failure& why, std::string_view request_id);
// The same without the log line.
response problem_of(const failure& why, std::string_view request_id);
// The same as S3's XML error (AWS, "Error responses").
response make_s3_error(const failure& why, std::string_view resource, std::string_view request_id);
// The text about a failure that a client may read. For a failure of ours (5xx): only the sentence of its code.
std::string text_for_client(const failure& why);

// A value of Retry-After (RFC 9110 §10.2.3) in whole seconds: `seconds` to half as much again, and one second more at
// least. Spread, so that clients that were refused together do not come back together. `chance`: any number.
std::string spread_retry_after(unsigned seconds, std::uint32_t chance);
// The same at random. `seconds` is at least 1.
std::string retry_after(unsigned seconds);

// Appends the response as it goes over the wire. With `is_head` the body is left out, but Content-Length is its length.
void append_response(std::string& out, const response& r, bool keep_alive, bool is_head, std::string_view request_id);
// The same for an interim response, which has no body.
void append_interim(std::string& out, const response& r);

} // namespace postern::front
