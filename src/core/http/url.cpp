#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>

#include <boost/url/authority_view.hpp>
#include <boost/url/ipv4_address.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace postern {
namespace {

namespace urls = boost::urls;

failure no_url(std::string_view text) {
  return failure{errc::invalid_argument, quote(text) + " is not an http or https URL"};
}

struct url_authority {
  http_address server;
  bool has_userinfo = false;
};

// [user[:password]@]host[:port]. The empty port of "host:" is refused, since clients read it in different ways.
std::optional<url_authority> read_authority(std::string_view text, bool tls) {
  auto read = urls::parse_authority(text);
  // Boost.URL 1.81 parses 10.0.0.1.nip.io as an address with trailing text. With a letter in front it parses a name.
  std::string marked;
  if (!read) {
    marked.append("x").append(text);
    read = urls::parse_authority(marked);
  }
  if (!read) return std::nullopt;
  const std::string_view host = read->encoded_host();
  const auto port = read->has_port() ? read->port_number() : tls ? 443 : 80;
  url_authority out{{tls, lower(host.substr(marked.empty() ? 0 : 1)), static_cast<std::uint16_t>(port)},
                    read->has_userinfo()};
  // A percent-encoded host is no name that DNS or a Host field knows.
  if (out.server.host.empty() || out.server.host.find('%') != std::string::npos || port == 0) return std::nullopt;
  return out;
}

struct url_parts {
  http_address server;
  std::string_view rest; // path, query and fragment
};

// RFC 3986 §3.2: the authority ends at the next slash, question mark or number sign.
result<url_parts> split(std::string_view url) {
  for (const auto& [scheme, tls] : {std::pair<std::string_view, bool>{"https://", true}, {"http://", false}}) {
    if (!iequals(url.substr(0, scheme.size()), scheme)) continue;
    const auto behind = url.substr(scheme.size());
    const auto end = std::min(behind.find_first_of("/?#"), behind.size());
    auto authority = read_authority(behind.substr(0, end), tls);
    if (!authority) break;
    if (authority->has_userinfo)
      return failure{errc::invalid_argument, "a URL must not have a user name or a password"};
    return url_parts{std::move(authority->server), behind.substr(end)};
  }
  return no_url(url);
}

bool is_for_a_browser(char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '\\'; }

// Like split, but only if is_web_url accepts the rest.
result<url_parts> split_web_url(std::string_view url) {
  auto parts = split(url);
  if (parts && !std::all_of(parts->rest.begin(), parts->rest.end(), is_for_a_browser)) return no_url(url);
  return parts;
}

} // namespace

// --- http_address -----------------------------------------------------------------------------------

std::string http_address::authority() const {
  return port == (tls ? 443 : 80) ? host : host + ":" + std::to_string(port);
}

std::string http_address::origin() const { return (tls ? "https://" : "http://") + authority(); }

std::string http_address::bare_host() const { return host.starts_with('[') ? host.substr(1, host.size() - 2) : host; }

bool http_address::is_ip() const { return host.starts_with('[') || urls::parse_ipv4_address(host).has_value(); }

bool http_address::is_loopback() const {
  const auto v4 = urls::parse_ipv4_address(host); // "127.example.com" is a name
  return host == "localhost" || host == "[::1]" || (v4 && v4->is_loopback());
}

// --- web URLs ---------------------------------------------------------------------------------------

result<web_url> parse_web_url(std::string_view url) {
  auto parts = split(url);
  if (!parts) return parts.error();
  const auto whole = "http://host" + std::string(parts->rest); // the server was read above
  const auto read = urls::parse_uri(whole);
  if (!read) return no_url(url);
  web_url out{std::move(parts->server), std::string(std::string_view(read->encoded_target()))};
  if (!out.target.starts_with('/')) out.target.insert(0, "/");
  return out;
}

bool is_web_url(std::string_view url) { return split_web_url(url).has_value(); }

std::string origin_of(std::string_view url) {
  const auto parts = split_web_url(url);
  return parts ? parts->server.origin() : std::string{};
}

std::string_view target_of(std::string_view url) {
  const auto parts = split_web_url(url);
  if (!parts) return {};
  return parts->rest.starts_with('/') ? parts->rest.substr(0, parts->rest.find('#')) : std::string_view("/");
}

bool has_dot_segment(std::string_view url) {
  auto path = target_of(url);
  if (path.empty()) return true;
  const auto decoded = uri_decode(path.substr(0, path.find('?')));
  if (!decoded) return true;
  constexpr const char* ends = "/\\";
  for (std::size_t at = 0; at != decoded->npos; at = decoded->find_first_of(ends, at + 1)) {
    const auto segment = std::string_view(*decoded).substr(at + 1, decoded->find_first_of(ends, at + 1) - at - 1);
    if (segment == "." || segment == "..") return true;
  }
  return false;
}

std::string with_parameter(std::string url, std::string_view name, std::string_view value) {
  std::string fragment;
  if (const auto hash = url.find('#'); hash != url.npos) fragment = url.substr(hash), url.resize(hash);
  url += url.find('?') == url.npos ? '?' : '&';
  return url.append(name).append("=").append(uri_encode(value)).append(fragment);
}

} // namespace postern
