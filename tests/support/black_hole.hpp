// An address on loopback that swallows connection attempts, as a firewall that drops packets does: connecting to it
// neither succeeds nor fails.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <sys/socket.h>
#include <vector>

namespace postern::test {

class black_hole {
public:
  // Linux drops what does not fit the queue of connections that wait to be accepted.
  black_hole() {
    full_.listen(0);
    for (int n = 0; n < 4; ++n) {
      fill_.emplace_back(loop_);
      fill_.back().open(boost::asio::ip::tcp::v4());
      fill_.back().native_non_blocking(true);
      const auto to = at();
      (void)::connect(fill_.back().native_handle(), to.data(), static_cast<socklen_t>(to.size()));
    }
  }
  boost::asio::ip::tcp::endpoint at() const { return full_.local_endpoint(); }
  std::uint16_t port() const { return at().port(); }

private:
  boost::asio::io_context loop_;
  boost::asio::ip::tcp::acceptor full_{loop_, {boost::asio::ip::make_address("127.0.0.1"), 0}, true};
  std::vector<boost::asio::ip::tcp::socket> fill_;
};

} // namespace postern::test
