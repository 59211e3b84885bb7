// Which addresses a server may be sent to by a name that somebody else resolves (server-side request forgery): after
// the IANA special-purpose registries (RFC 6890) and the clouds' metadata services. Pure: an address is its 4 or 16
// bytes in network order. An IPv4 address that stands inside an IPv6 one (mapped, NAT64, 6to4, Teredo …) is judged as
// what it leads to.
#pragma once

#include <span>
#include <string_view>

namespace postern {

// Who may be dialled.
enum class reach {
  any,      // whatever the operator wrote: stores, credential services
  internal, // all but the metadata services, which give out credentials
  open,     // only addresses that all of the internet can reach
};

enum class address_kind { global, internal, metadata };

struct address_verdict {
  address_kind kind = address_kind::global;
  std::string_view what; // "private", "loopback", …: what it is when it is not global
};

// An address of another length than 4 or 16 bytes is internal.
address_verdict judge_address(std::span<const unsigned char> bytes);

inline bool may_dial(reach r, address_kind k) {
  return r == reach::any || k == address_kind::global || (r == reach::internal && k == address_kind::internal);
}

} // namespace postern
