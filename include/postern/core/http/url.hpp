// http and https URLs (RFC 3986, RFC 9110 §4.2), read with Boost.URL. Pure functions.
//
// There are two kinds of URLs. parse_web_url is strict and reads the URLs that Postern requests. The URLs that Postern
// hands to a browser may also have characters that browsers encode themselves, such as [ and | in a query: all
// other functions accept them. Neither kind may have a user name or a password (RFC 9110 §4.2.4).
#pragma once

#include <postern/base/error.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

// The server that an http or https URL names. The host is in lower case, an IPv6 address in brackets.
struct http_address {
  bool tls = false;
  std::string host;
  std::uint16_t port = 80;

  std::string authority() const; // the Host field: host:port, without the port when it is the scheme's default
  std::string origin() const;    // scheme://authority, as a browser writes it in the Origin field
  std::string bare_host() const; // the host without the brackets of an IPv6 address
  bool is_ip() const;            // the host is an address, not a name
  bool is_loopback() const;      // localhost, 127.0.0.0/8 or ::1
  auto operator<=>(const http_address&) const = default;
};

// A server, and what to request from it.
struct web_url {
  http_address server;
  std::string target; // path and query as they are written; begins with a slash
};

// Reads an absolute http or https URL and drops its fragment. errc::invalid_argument, with the URL in the text unless
// it may hold a password.
result<web_url> parse_web_url(std::string_view url);

// Is this an absolute http or https URL of visible ASCII characters without " < > and \, so that it can stand in a
// header field, and in an attribute once it is escaped?
bool is_web_url(std::string_view url);
// Its origin (see http_address::origin), or an empty text when it is no web URL.
std::string origin_of(std::string_view url);
// Its path and query as they are written, "/" when it has no path. Empty when it is no web URL. A view into `url`.
std::string_view target_of(std::string_view url);
// Whether the path has a segment . or .. or one whose percent-encoding is broken. Browsers resolve such segments, also
// encoded ones, before they send the request. Servers may take %2f and %5c for slashes, so segments end there too. True
// when it is no web URL.
bool has_dot_segment(std::string_view url);

// The URL with name=value at the end of its query, the value percent-encoded. A fragment stays at the end.
std::string with_parameter(std::string url, std::string_view name, std::string_view value);

} // namespace postern
