// Which peers are proxies of ours, and the client's address that such a proxy reports. Built once from the
// configuration, then read by all threads.
#pragma once

#include <postern/io/tasks.hpp>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <boost/beast/http/fields.hpp>

#include <string>
#include <vector>

namespace postern::front {

class trusted_proxies {
public:
  trusted_proxies() = default;
  // Addresses ("10.0.0.7") and networks in CIDR form ("10.0.0.0/8", "fd00::/8"). Throws std::invalid_argument that
  // quotes the entry which is neither.
  explicit trusted_proxies(const std::vector<std::string>& networks);

  bool contains(const asio::ip::address& peer) const;

  // The client's address. It is the peer's, unless the peer is a trusted proxy: then it is the last address in
  // the last X-Forwarded-For field, or in Forwarded (RFC 7239). Earlier addresses in the list come from the client and
  // can be forged. Unmapped, as front/client_network says.
  asio::ip::address client_address(const asio::ip::address& peer, const boost::beast::http::fields& fields) const;

private:
  std::vector<asio::ip::network_v4> v4_;
  std::vector<asio::ip::network_v6> v6_;
};

} // namespace postern::front
