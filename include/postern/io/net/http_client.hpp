// HTTP/1.1 as a client: one request out, its answer back, streamed where it is large. Connections are kept alive per
// thread and address and used again; a server that closes an idle one is not noticed by the caller. One http_client is
// shared by all threads; a request lives on the thread that began it.
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
  std::string target = "/";                                // as it goes over the wire
  std::vector<std::pair<std::string, std::string>> fields; // without Host and Content-Length
  std::chrono::milliseconds dial{5'000};
  std::chrono::milliseconds silence{30'000}; // how long any one wait for the server may last
  bool cleans_up = false;                    // may still be sent when the thread has been told to stop
  bool cuts_answer = false;                  // a body that is too large is no failure: it is left, in part or whole
};

class pooled_connection;

// A request whose body is streamed. Destroyed before its end, its connection is cut.
class http_upload {
public:
  http_upload(std::unique_ptr<pooled_connection> on, std::chrono::milliseconds silence, bool welcome);
  http_upload(const http_upload&) = delete;
  http_upload& operator=(const http_upload&) = delete;
  ~http_upload();

  // Did the server say 100 Continue? If not it has answered already: see finish.
  bool welcome() const { return welcome_; }
  // The bytes must live until it returns. A server that answers in the middle and hangs up makes this fail: finish may
  // still know its answer.
  task<result<void>> write(std::span<const char> bytes);
  // The answer. When the body was not sent whole, the connection is not used again.
  task<result<http_response>> finish(bool whole = true);

private:
  std::unique_ptr<pooled_connection> on_;
  const std::chrono::milliseconds silence_;
  bool welcome_;
};

struct http_client_options {
  std::string ca_file; // PEM; empty: the system's
  // Where connections are really made, whatever the URL names: for tests, and for gateways that a firewall forces on
  // one. Only the name's resolution is left out; Host, SNI and the name that the certificate must have are the URL's.
  std::optional<http_address> connect_to = std::nullopt;
  // Which addresses it connects to, judged after a name was resolved and just before dialling that very address, so
  // that a name cannot become another in between. What it may not dial is errc::forbidden.
  reach peers = reach::any;
};

class http_client {
public:
  // Throws std::runtime_error when the CA file cannot be used. Must outlive the loops that use it.
  explicit http_client(http_client_options options = {});
  ~http_client();

  // Sends it whole and answers what comes back; a body of more than `most` bytes is errc::payload_too_large, unless
  // it may be cut. When a kept connection proves to be dead before a byte of the answer, the request is sent once more
  // on a new one. errc::unavailable (not reached, TLS), errc::forbidden (the address), errc::timed_out,
  // errc::disconnected, errc::bad_request (not HTTP).
  task<result<http_response>> send(const http_request& r, std::string_view body = {}, std::size_t max = 1 << 20);

  // Begins a request with a body of `length` bytes and asks with Expect: 100-continue whether it is welcome (RFC 9110
  // §10.1.1): redirects and refusals come before any byte of the body has flowed. A server that says nothing for three
  // seconds gets the body.
  task<result<std::unique_ptr<http_upload>>> upload(const http_request& r, std::uint64_t length);

  // Cuts what runs on this thread and begins nothing more but what cleans up: all other requests are errc::cancelled.
  static void stop(asio::io_context& on);

private:
  task<result<std::unique_ptr<pooled_connection>>> connect(const http_request& r, bool fresh);
  asio::ssl::context tls_;
  const std::optional<http_address> connect_to_;
  const reach peers_;
  name_lookup names_;
};

} // namespace postern
