// The response to an HTTP/1.1 request of ours, and how it is read from its connection.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

class connection;

struct http_response {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> fields; // names in lower case
  std::string body;

  std::string_view field(std::string_view lower_case_name) const; // the first of that name; empty when absent
};

struct response_limits {
  std::size_t max_body = 1 << 20;
  bool truncates = false;                         // the rest of a larger body is discarded, without an error
  std::chrono::milliseconds idle_timeout{30'000}; // the longest wait for a byte
  // From the first byte of a header to its last. idle_timeout starts again at each byte, so it does not end a header
  // that comes byte by byte.
  std::chrono::milliseconds header_timeout{30'000};
  bool is_to_head = false; // the response to a HEAD request has no body
};

// More interim responses than this before the final one are an error.
inline constexpr int max_interim_responses = 16;

// Reads one response from a connection. Lives in the frame of the coroutine that sent the request. The connection's end
// (connection::ends_at) bounds the whole response, also a body that trickles.
class response_reader {
public:
  response_reader(connection& from, response_limits limits) : from_(from), limits_(limits) {}

  // The final response; interim ones (1xx) are skipped. errc::payload_too_large, errc::bad_request (not HTTP, or too
  // many interim responses), errc::disconnected (the server closed before the end), errc::timed_out.
  task<result<http_response>> read();

  bool has_received() const { return has_received_; } // at least one byte
  // After read: the response ended where its length said and the server keeps the connection, so that it can carry
  // another request.
  bool is_reusable() const { return is_reusable_; }

private:
  task<result<http_response>> read_message();

  connection& from_;
  const response_limits limits_;
  bool has_received_ = false, is_reusable_ = false;
};

} // namespace postern
