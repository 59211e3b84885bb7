// An HTTP/1.1 client. It sends a request and returns the response; a large body is streamed. Each thread keeps idle
// connections for each server and reuses them. When a server has closed an idle connection, the request is sent on a
// new one. All threads share one http_client; a request stays on the thread that began it.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/http/address_rules.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/net/http_response.hpp>
#include <postern/io/net/name_lookup.hpp>
#include <postern/io/tasks.hpp>

#include <boost/asio/ssl/context.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

struct http_request {
  http_address to;
  std::string method = "GET";
  std::string target = "/";                                // path and query, encoded as they are sent
  std::vector<std::pair<std::string, std::string>> fields; // without Host and Content-Length
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds idle_timeout{30'000};   // the longest wait for the server without progress
  std::chrono::milliseconds header_timeout{30'000}; // of the response; see response_limits
  // The request ends by then, response included, however steadily bytes come. Nothing: two minutes from its beginning.
  std::optional<clock_point> deadline;
  bool is_cleanup = false;         // is sent even after stop()
  bool truncates_response = false; // the rest of an oversized response is discarded; else it is an error
};

class pooled_connection;

// A request whose body is streamed. Destroying it before finish cuts its connection.
class http_upload {
public:
  http_upload(std::unique_ptr<pooled_connection> on, response_limits limits, bool accepts_body);
  http_upload(const http_upload&) = delete;
  http_upload& operator=(const http_upload&) = delete;
  ~http_upload();

  // False when the server has already sent its final response, without 100 Continue. Then call finish(false).
  bool accepts_body() const { return accepts_body_; }
  // The bytes must live until write returns. When the server responds early and closes, write fails; finish can still
  // return that response.
  task<result<void>> write(std::span<const char> bytes);
  // The response, by `deadline` (nothing: two minutes from now). After an incomplete body the connection is not reused.
  task<result<http_response>> finish(bool is_body_complete = true, std::optional<clock_point> deadline = std::nullopt);

private:
  std::unique_ptr<pooled_connection> on_;
  const response_limits limits_;
  bool accepts_body_;
};

struct http_client_options {
  std::string ca_file; // PEM; empty: the system's
  // Connects here instead of to the URL's host: for tests, and for gateways that a firewall requires. Host, SNI and the
  // name in the certificate are still the URL's.
  std::optional<http_address> connect_to = std::nullopt;
  name_lookup::resolver resolve{}; // for tests; empty: the system's resolver
  // The addresses to which the client may connect. The resolved address is checked and then used for the connection, so
  // DNS rebinding cannot change it in between. Another address is errc::forbidden.
  reach peers = reach::any;
};

class http_client {
public:
  // Throws std::runtime_error when the CA file cannot be used. Must outlive the loops that use it.
  explicit http_client(http_client_options options = {});
  ~http_client();

  // Sends the request with its whole body and returns the response. A response body of more than `max` bytes is
  // errc::payload_too_large, unless r.truncates_response. When a reused connection breaks before the first byte of the
  // response, the request is sent once more on a new connection. errc::unavailable (cannot connect, TLS failed),
  // errc::forbidden (the address), errc::timed_out, errc::disconnected, errc::bad_request (not HTTP).
  task<result<http_response>> send(const http_request& r, std::string_view body = {}, std::size_t max = 1 << 20);

  // Begins a request with a body of `length` bytes. Sends Expect: 100-continue (RFC 9110 §10.1.1), so that a redirect
  // or a refusal arrives before any byte of the body is sent. If the server sends nothing for three seconds, the body
  // is sent. The deadline of `r` is that of this call: the body may take longer.
  task<result<std::unique_ptr<http_upload>>> upload(const http_request& r, std::uint64_t length);

  // Cuts this thread's connections. From then on only requests with is_cleanup are sent; all others are
  // errc::cancelled.
  static void stop(asio::io_context& on);

private:
  task<result<std::unique_ptr<pooled_connection>>> connect(const http_request& r, bool is_retry, clock_point end);
  asio::ssl::context tls_;
  const std::optional<http_address> connect_to_;
  const reach peers_;
  name_lookup names_;
};

} // namespace postern
