// Where a server is, and what is asked of it there, as an http or https URL says both.
#pragma once

#include <postern/base/error.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

// Where a server is. The host is in lower case, an IPv6 address in brackets.
struct http_address {
  bool tls = false;
  std::string host;
  std::uint16_t port = 80;

  std::string authority() const; // the Host field: without the port where it is the scheme's own
  std::string url() const;       // scheme://authority
  bool is_ip() const;            // not a name
  auto operator<=>(const http_address&) const = default;
};

struct http_url {
  http_address at;
  std::string target; // path and query as they are written, "/" at least
};
// Reads an absolute http or https URL. errc::invalid_argument.
result<http_url> parse_http_url(std::string_view url);

} // namespace postern
