// One request and its answer, as the routes see them. The text of both is bounded by the server's limits.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/net/wire.hpp>

#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/verb.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::front {

namespace http = boost::beast::http;

// Lives as long as its answer is being made, in the frame of its session.
struct request {
  http::verb method = http::verb::unknown;
  std::string_view path;  // still percent-encoded, without the query
  std::string_view query; // without the ?
  const http::fields& fields;
  body_reader& body;
  std::string client; // the peer's address, or what a trusted proxy says of it
  std::string id;     // of this request, for the log and for problem answers
  bool secure = false;

  std::string_view field(http::field name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? std::string_view{} : std::string_view(found->value());
  }
};

struct response {
  int status = 200;
  std::string_view content_type;                                // empty: no body
  std::vector<std::pair<std::string_view, std::string>> fields; // names are constants
  std::string body;
  bool close = false; // after this one
  // Where it is set, the body goes on as long as this answers text: each piece is written as it comes, an empty one is
  // passed over, and the connection closes after the last. It is awaited on the connection's thread; what it refers to
  // must outlive the server.
  std::function<task<std::optional<std::string>>()> more;

  response& with(std::string_view name, std::string value) {
    fields.emplace_back(name, std::move(value));
    return *this;
  }
};

response text_answer(int status, std::string_view content_type, std::string body);
response redirect_to(std::string url); // 303
// What a client may know of a failure: of one on our side (5xx) only that it was (CONTRACT §2.6).
std::string text_for_client(const failure& why);
// application/problem+json (RFC 9457) from the one table of errors. What the client is not told is logged.
response problem(const failure& why, std::string_view request_id);
// S3's XML error (AWS, "Error responses").
response s3_error(const failure& why, std::string_view resource, std::string_view request_id);

// The answer as it goes over the wire, appended to `out` in one piece. `head`: without the body, whose length is still
// said.
void print(std::string& out, const response& r, bool keep_alive, bool head, std::string_view request_id);

} // namespace postern::front
