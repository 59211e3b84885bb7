// One client connection of the HTTP/1.1 server: reads requests one after another, gets the response of each from the
// endpoint, writes it in one piece. Lives in the frame of the coroutine that serves the connection, on that thread. It
// ends when the client leaves, a deadline passes, the framing is broken, or a drain begins.
#pragma once

#include <postern/core/http/framing.hpp>
#include <postern/front/connection_count.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/trusted_proxies.hpp>
#include <postern/io/net/body_reader.hpp>
#include <postern/io/net/wire.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace postern::front {

struct session_limits { // 0 switches a limit off
  static constexpr std::size_t max_header = 1 << 20;
  std::size_t request_header = 16 << 10;            // bytes; off: max_header
  std::chrono::milliseconds header_timeout{10'000}; // from a header's first byte to its last
  std::chrono::milliseconds idle_timeout{60'000};   // without a request
  body_limits body;
};

class http_session {
public:
  // The arguments must outlive the session. `all` tells whether the server drains.
  http_session(connection& c, const connections& all, const session_limits& limits, const trusted_proxies& proxies,
               connection_count& count, resources& shared, const endpoint& answer)
      : connection_(c), all_(all), limits_(limits), proxies_(proxies), count_(count), shared_(shared), answer_(answer) {
  }

  // The TLS handshake, if there is one, then requests until the connection ends.
  task<> run();
  // Sends a problem response without reading a request, and closes.
  task<> refuse(failure why);

private:
  task<bool> serve_request();
  task<result<std::string_view>> read_header();
  // `ticket`: set for a client behind a proxy.
  task<result<void>> send_interim(response made);
  task<response> answer(request& r, const asio::ip::address& client, std::size_t header_size,
                        std::optional<connection_count::ticket>& ticket);
  task<bool> respond(const response& made, const request& r, const framing& how, const body_reader& body);
  task<> write_pieces(const response& made);
  task<bool> write_to_length(const response& made);

  connection& connection_;
  const connections& all_;
  const session_limits& limits_;
  const trusted_proxies& proxies_;
  connection_count& count_;
  resources& shared_;
  const endpoint& answer_;
  std::string out_; // reused for each response
};

} // namespace postern::front
