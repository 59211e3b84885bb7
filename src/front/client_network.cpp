#include <postern/front/client_network.hpp>

#include <algorithm>

namespace postern::front {

namespace ip = boost::asio::ip;

ip::address unmapped(const ip::address& a) {
  return a.is_v6() && a.to_v6().is_v4_mapped() ? ip::make_address_v4(ip::v4_mapped, a.to_v6()) : a;
}

ip::address network_of(const ip::address& a) {
  auto plain = unmapped(a);
  if (plain.is_v4()) return plain;
  auto bytes = plain.to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), 0);
  return ip::address_v6(bytes);
}

} // namespace postern::front
