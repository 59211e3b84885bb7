// What counts as one client where a limit is per address. Pure.
#pragma once

#include <boost/asio/ip/address.hpp>

namespace postern::front {

// An IPv4 address inside an IPv6 one (::ffff:192.0.2.1, RFC 4291 §2.5.5.2) as IPv4; any other address as it is. A
// socket that takes both families reports IPv4 clients in the mapped form.
boost::asio::ip::address unmapped(const boost::asio::ip::address& a);

// An IPv4 address alone; of an IPv6 address the first 64 bits, because one client usually has a whole /64 (RFC 6177).
boost::asio::ip::address network_of(const boost::asio::ip::address& a);

} // namespace postern::front
