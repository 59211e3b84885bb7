#include <postern/base/text.hpp>
#include <postern/front/client_network.hpp>
#include <postern/front/trusted_proxies.hpp>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace postern::front {
namespace {

// network.hosts() would leave out the first and the last address of an IPv4 network, which a proxy may have.
template <class Network> bool is_in(const std::vector<Network>& networks, const auto& address) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& n) { return Network(address, n.prefix_length()).network() == n.network(); });
}

// The IPv4 network that is written as an IPv6 one (RFC 4291 §2.5.5.2).
std::optional<asio::ip::network_v4> unmapped(const asio::ip::network_v6& n) {
  constexpr unsigned short mapped = 96; // bits ahead of the IPv4 address
  if (!n.address().is_v4_mapped() || n.prefix_length() < mapped) return std::nullopt;
  return asio::ip::network_v4(asio::ip::make_address_v4(asio::ip::v4_mapped, n.address()), n.prefix_length() - mapped);
}

// An address as proxies write it: with blanks or quotes around it, a port after it, brackets around IPv6.
std::string bare_address(std::string_view text) {
  text = trim(text, " \t\"");
  if (text.starts_with('[')) return std::string(text.substr(1, text.find(']') - 1));
  const auto colon = text.find(':');
  const bool has_port = colon != text.npos && text.find(':', colon + 1) == text.npos;
  return std::string(has_port ? text.substr(0, colon) : text);
}

// The value of for= in one element of Forwarded (RFC 7239 §4).
std::string_view forwarded_for(std::string_view element) {
  while (!element.empty()) {
    const auto semicolon = std::min(element.find(';'), element.size());
    auto pair = element.substr(0, semicolon);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.size() > 4 && iequals(pair.substr(0, 4), "for=")) return pair.substr(4);
    element.remove_prefix(std::min(semicolon + 1, element.size()));
  }
  return {};
}

// The last element of the last field of this name.
std::string_view last_element(const boost::beast::http::fields& fields, std::string_view name) {
  std::string_view value;
  for (auto [at, end] = fields.equal_range(name); at != end; ++at) value = at->value();
  value.remove_prefix(value.rfind(',') + 1);
  return value;
}

} // namespace

trusted_proxies::trusted_proxies(const std::vector<std::string>& networks) {
  for (const auto& text : networks) {
    const bool is_v6 = text.find(':') != text.npos;
    const auto network = text.find('/') != text.npos ? text : text + (is_v6 ? "/128" : "/32");
    boost::system::error_code ec;
    if (!is_v6)
      v4_.push_back(asio::ip::make_network_v4(network, ec));
    else if (const auto v6 = asio::ip::make_network_v6(network, ec); !ec) {
      if (const auto v4 = unmapped(v6))
        v4_.push_back(*v4);
      else
        v6_.push_back(v6);
    }
    if (ec) throw std::invalid_argument(quote(text) + " is neither an address nor a network such as 10.0.0.0/8");
  }
}

bool trusted_proxies::contains(const asio::ip::address& peer) const {
  const auto plain = unmapped(peer);
  if (plain.is_v4()) return is_in(v4_, plain.to_v4());
  return is_in(v6_, asio::ip::address_v6(plain.to_v6().to_bytes())); // without the interface of a link-local address
}

asio::ip::address trusted_proxies::client_address(const asio::ip::address& peer,
                                                  const boost::beast::http::fields& fields) const {
  if (!contains(peer)) return unmapped(peer);
  boost::system::error_code ec;
  auto reported = asio::ip::make_address(bare_address(last_element(fields, "X-Forwarded-For")), ec);
  if (ec) reported = asio::ip::make_address(bare_address(forwarded_for(last_element(fields, "Forwarded"))), ec);
  return unmapped(ec ? peer : reported);
}

} // namespace postern::front
