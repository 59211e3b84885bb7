#include <postern/base/error.hpp>
#include <postern/base/text.hpp>
#include <postern/front/listen_address.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/v6_only.hpp>

#include <cerrno>
#include <stdexcept>
#include <sys/socket.h>

namespace postern::front {
namespace {

std::string remedy_for(const boost::system::error_code& why) {
  namespace reasons = boost::system::errc;
  if (why == reasons::permission_denied)
    return "choose a port above 1023, or give the program the capability CAP_NET_BIND_SERVICE";
  if (why == reasons::address_not_available)
    return "this machine has no such address; name one of its own, or 0.0.0.0 or [::] for all";
  if (why == reasons::address_in_use) return "another program uses this port; stop it, or choose another port";
  return "choose another address or port";
}

std::runtime_error cannot_listen(const asio::ip::tcp::endpoint& at, const boost::system::system_error& why) {
  return std::runtime_error("cannot listen on " + to_text(at) + ": " + why.code().message() + "; " +
                            remedy_for(why.code()) + " (server.listen, server.admin_listen)");
}

// A kernel can be without IPv6.
bool has_ipv6() {
  asio::io_context loop{1};
  tcp_acceptor probe(loop.get_executor());
  boost::system::error_code ec;
  probe.open(asio::ip::tcp::v6(), ec);
  return !ec;
}

// [::] takes IPv4 connections too, whatever the system's default is.
void open_for(tcp_acceptor& acceptor, const asio::ip::tcp::endpoint& at) {
  acceptor.open(at.protocol());
  acceptor.set_option(asio::socket_base::reuse_address(true));
  if (at.address() == asio::ip::address_v6::any()) acceptor.set_option(asio::ip::v6_only(false));
}

// Asio has no public name for this option.
void let_share_port(tcp_acceptor& acceptor) {
  const int on = 1;
  if (::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
    throw boost::system::system_error(errno, boost::system::system_category(), "SO_REUSEPORT");
}

} // namespace

asio::ip::tcp::endpoint parse_listen_address(const std::string& text) {
  const auto reject = [&] {
    throw std::runtime_error(quote(text) +
                             " is not an address to listen on; write it like 127.0.0.1:8080 or [::1]:8080");
  };
  const auto colon = text.rfind(':');
  if (colon == text.npos) reject();
  auto host = text.substr(0, colon);
  if (host.empty()) host = has_ipv6() ? "::" : "0.0.0.0";
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  boost::system::error_code ec;
  const auto address = asio::ip::make_address(host, ec);
  const auto port = parse_number(std::string_view(text).substr(colon + 1));
  if (ec || !port || *port > 65535) reject();
  return {address, static_cast<std::uint16_t>(*port)};
}

std::string to_text(const asio::ip::tcp::endpoint& at) {
  const auto host = at.address().to_string();
  return (at.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(at.port());
}

void listen_on(tcp_acceptor& acceptor, const asio::ip::tcp::endpoint& at) {
  try {
    open_for(acceptor, at);
    let_share_port(acceptor);
    acceptor.bind(at);
    acceptor.listen(4096);
  } catch (const boost::system::system_error& e) {
    throw cannot_listen(at, e);
  }
}

void require_free_port(const asio::ip::tcp::endpoint& at) {
  asio::io_context loop{1};
  tcp_acceptor probe(loop.get_executor());
  try {
    open_for(probe, at);
    probe.bind(at);
  } catch (const boost::system::system_error& e) {
    throw cannot_listen(at, e);
  }
}

} // namespace postern::front
