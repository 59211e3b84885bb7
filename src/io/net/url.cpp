#include <postern/base/encoding.hpp>
#include <postern/io/net/url.hpp>

#include <boost/asio/ip/address_v4.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

namespace postern {

std::string http_address::authority() const {
  return port == (tls ? 443 : 80) ? host : host + ":" + std::to_string(port);
}
std::string http_address::url() const { return (tls ? "https://" : "http://") + authority(); }
bool http_address::is_ip() const {
  boost::system::error_code no_address;
  if (!host.starts_with('[')) boost::asio::ip::make_address_v4(host, no_address);
  return !no_address;
}

result<http_url> parse_http_url(std::string_view text) {
  const failure bad{errc::invalid_argument, quote(text) + " is not an http or https URL"};
  auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed) return bad;
  // Boost.URL 1.81 ends the host of 10.0.0.1.nip.io behind the address. With a letter in front it is seen to be a name.
  std::string marked;
  if (const auto t = parsed->encoded_target(); !t.empty() && t.front() != '/' && t.front() != '?') {
    marked = text;
    marked.insert(marked.find("://") + 3, 1, 'x');
    parsed = boost::urls::parse_uri(marked);
    if (!parsed) return bad;
  }
  if (parsed->has_userinfo()) return bad;
  const auto scheme = parsed->scheme_id();
  const auto host = parsed->encoded_host().substr(marked.empty() ? 0 : 1);
  if (scheme != boost::urls::scheme::http && scheme != boost::urls::scheme::https) return bad;
  if (host.empty() || host.find('%') != host.npos) return bad; // no name that DNS knows, nor a Host field
  http_url out;
  out.at.tls = scheme == boost::urls::scheme::https;
  out.at.host = lower({host.data(), host.size()});
  out.at.port = parsed->has_port() ? parsed->port_number() : out.at.tls ? 443 : 80;
  if (parsed->has_port() && out.at.port == 0) return bad;
  const auto target = parsed->encoded_target();
  out.target.assign(target.data(), target.size());
  if (!out.target.starts_with('/')) out.target.insert(0, "/");
  return out;
}

} // namespace postern
