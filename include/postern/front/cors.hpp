// Decides which web pages may call the endpoints and read their responses (CORS, WHATWG Fetch). The list is exact: an
// origin that is not listed is never reflected. Built once from the configuration, then read by all threads.
#pragma once

#include <postern/front/http_message.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace postern::front {

// The pages whose scripts may read the responses of a route. resumable_clients: those of the allowed origins, with the
// header fields of tus and of the IETF's resumable uploads.
enum class cors_readers { own_pages, allowed_origins, resumable_clients, any_origin };

class cors_rules {
public:
  // Origins are like "https://app.example.com". The origin of public_url is always allowed.
  cors_rules(std::string_view public_url, std::vector<std::string> allowed);

  // Whether the origin is allowed. "null" is not.
  bool contains(std::string_view origin) const;

  // Whether this request may act for a caller. A request from a page of an unlisted origin may not, even with valid
  // credentials: errc::forbidden. A page that this server itself delivered may.
  result<void> check(const request& r) const;

  // Whether the cookies of this request may name its caller. A browser sends them whichever page caused the request, so
  // the page must be an allowed one, or one that this server delivered. Without an Origin field, as in a GET, the
  // browser's word counts (Fetch Metadata: Sec-Fetch-Site): the page has this server's origin, or, `to_read`, is of the
  // same site.
  bool may_use_cookies(const request& r, bool to_read) const;

  // Adds the header fields that let the page of `r` read the response, if it is among the readers.
  void add_headers(cors_readers who, const request& r, response& made) const;

  // The response to a browser's preflight before a cross-origin request ("CORS-preflight fetch"). `verbs`: the verbs of
  // the path, as in "POST, GET".
  response preflight(const request& r, cors_readers who, const std::string& verbs) const;
  // The same without what add_headers adds.
  static void allow_requests(cors_readers who, const std::string& verbs, response& made);

private:
  std::string public_origin_;
  const std::vector<std::string> allowed_;
};

// Lets the scripts of any page read a refusal that was made before the request's origin was known.
response readable_refusal(response made);

// The name in a Host field, without the port; an IPv6 address keeps its brackets. A view into `host`.
std::string_view host_name(std::string_view host);
// Whether it is an IPv4 address, or an IPv6 address in brackets.
bool is_address(std::string_view name);

// Does the origin name the same host and port as the Host field? Only addresses and localhost count: a foreign name can
// be made to resolve to this server (DNS rebinding).
bool is_same_host(std::string_view origin, std::string_view host, bool is_secure);

} // namespace postern::front
