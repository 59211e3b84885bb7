#include <postern/core/http/address_rules.hpp>

#include <algorithm>
#include <array>
#include <cstddef>

namespace postern {
namespace {

using bytes = std::span<const unsigned char>;

// The first network that matches counts, so narrower networks are listed before wider ones.
template <std::size_t N> struct network {
  std::array<unsigned char, N> begin;
  unsigned length; // of the prefix, in bits
  address_kind kind;
  std::string_view what;
};

bool within_network(bytes address, bytes begin, unsigned length) {
  const auto whole = length / 8;
  if (!std::equal(begin.begin(), begin.begin() + whole, address.begin())) return false;
  const auto mask = static_cast<unsigned char>(0xff00u >> (length % 8));
  return length % 8 == 0 || ((address[whole] ^ begin[whole]) & mask) == 0;
}

template <class Networks> address_verdict first_of(const Networks& all, bytes address, address_verdict otherwise) {
  for (const auto& n : all)
    if (within_network(address, n.begin, n.length)) return {n.kind, n.what};
  return otherwise;
}

constexpr auto internal = address_kind::internal;
constexpr auto metadata = address_kind::metadata;

constexpr network<4> networks_v4[] = {
    {{169, 254, 169, 254}, 32, metadata, "a metadata service"}, // AWS, Azure, Google, OpenStack, …
    {{169, 254, 170, 2}, 32, metadata, "a metadata service"},   // credentials of ECS tasks
    {{169, 254, 170, 23}, 32, metadata, "a metadata service"},  // credentials of EKS pods
    {{100, 100, 100, 200}, 32, metadata, "a metadata service"}, // Alibaba
    {{168, 63, 129, 16}, 32, metadata, "a metadata service"},   // Azure's wire server
    {{192, 0, 0, 192}, 32, metadata, "a metadata service"},     // Oracle
    {{0, 0, 0, 0}, 32, internal, "unspecified"},
    {{0, 0, 0, 0}, 8, internal, "of this network (RFC 791)"},
    {{10, 0, 0, 0}, 8, internal, "private"},
    {{100, 64, 0, 0}, 10, internal, "shared behind a carrier's NAT"},
    {{127, 0, 0, 0}, 8, internal, "loopback"},
    {{169, 254, 0, 0}, 16, internal, "link-local"},
    {{172, 16, 0, 0}, 12, internal, "private"},
    {{192, 0, 0, 0}, 24, internal, "reserved"},
    {{192, 0, 2, 0}, 24, internal, "for documentation"},
    {{192, 88, 99, 0}, 24, internal, "reserved"},
    {{192, 168, 0, 0}, 16, internal, "private"},
    {{198, 18, 0, 0}, 15, internal, "for benchmarks"},
    {{198, 51, 100, 0}, 24, internal, "for documentation"},
    {{203, 0, 113, 0}, 24, internal, "for documentation"},
    {{224, 0, 0, 0}, 4, internal, "multicast"},
    {{240, 0, 0, 0}, 4, internal, "reserved"},
};

constexpr network<16> networks_v6[] = {
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128, metadata, "a metadata service"}, // AWS
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23}, 128, metadata, "a metadata service"},    // EKS
    {{0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128, metadata, "a metadata service"}, // Google
    {{}, 128, internal, "unspecified"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, internal, "loopback"},
    {{0xfc}, 7, internal, "private"},
    {{0xfe, 0x80}, 10, internal, "link-local"},
    {{0xfe, 0xc0}, 10, internal, "private"},
    {{0xff}, 8, internal, "multicast"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, internal, "for documentation"},
    {{0x3f, 0xff}, 20, internal, "for documentation"},
    {{0x20, 0x01}, 23, internal, "reserved"}, // RFC 2928
    {{0x20}, 3, address_kind::global, ""},
};

// The position of an IPv4 address that an IPv6 address embeds.
struct embedding {
  std::array<unsigned char, 16> begin;
  unsigned length;
  std::size_t at;     // of its first byte
  unsigned char mask; // XORed into each byte of the embedded address
  address_verdict otherwise{};
};
constexpr embedding embeddings[] = {
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12, 0},       // mapped (RFC 4291 §2.5.5.2)
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, 96, 12, 0},       // translated (RFC 2765 §2.1)
    {{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, 96, 12, 0}, // NAT64 (RFC 6052)
    {{0x00, 0x64, 0xff, 0x9b, 0, 1, 0, 0, 0, 0, 0, 0}, 48, 12, 0, {internal, "reserved"}}, // local-use NAT64 (RFC 8215)
    {{0x20, 0x02}, 16, 2, 0},                                                              // 6to4 (RFC 3056)
    {{0x20, 0x01, 0, 0}, 32, 12, 0xff},                                                    // Teredo (RFC 4380 §4)
    {{}, 96, 12, 0}, // compatible (RFC 4291 §2.5.5.1)
};

address_verdict judge_v6(bytes address) {
  const auto own = first_of(networks_v6, address, {internal, "reserved"});
  // :: and ::1 have the form of a compatible address but embed no IPv4 address.
  if (own.what == "unspecified" || own.what == "loopback") return own;
  for (const auto& e : embeddings) {
    if (!within_network(address, e.begin, e.length)) continue;
    std::array<unsigned char, 4> inner;
    for (std::size_t i = 0; i < 4; ++i) inner[i] = static_cast<unsigned char>(address[e.at + i] ^ e.mask);
    const auto judged = first_of(networks_v4, inner, {});
    return judged.kind == address_kind::global ? e.otherwise : judged;
  }
  return own;
}

} // namespace

address_verdict judge_address(bytes address) {
  if (address.size() == 4) return first_of(networks_v4, address, {});
  if (address.size() == 16) return judge_v6(address);
  return {internal, "of an unknown kind"};
}

} // namespace postern
