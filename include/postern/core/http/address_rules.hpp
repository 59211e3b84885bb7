// Rules against server-side request forgery: which addresses Postern may connect to when a URL comes from outside.
// They follow the IANA special-purpose registries (RFC 6890) and know the clouds' metadata services. Pure: an address
// is its 4 or 16 bytes in network order. An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4, Teredo …) is judged
// as the IPv4 address.
#pragma once

#include <span>
#include <string_view>

namespace postern {

// The addresses to which a client may connect.
enum class reach {
  any,      // all: for URLs that the operator wrote (stores, credential services)
  internal, // all except the metadata services, which give out credentials
  open,     // only globally reachable addresses
};

enum class address_kind { global, internal, metadata };

struct address_verdict {
  address_kind kind = address_kind::global;
  std::string_view what; // "private", "loopback", …: the kind of an address that is not global
};

// Any other length than 4 or 16 bytes is judged as internal.
address_verdict judge_address(std::span<const unsigned char> address);

inline bool may_connect(reach r, address_kind k) {
  return r == reach::any || k == address_kind::global || (r == reach::internal && k == address_kind::internal);
}

} // namespace postern
