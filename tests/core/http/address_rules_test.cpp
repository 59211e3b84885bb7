#include <postern/core/http/address_rules.hpp>

#include <boost/test/unit_test.hpp>

#include <arpa/inet.h>
#include <array>
#include <string>
#include <vector>

using namespace postern;

namespace {

// Parses an address as the system does.
address_verdict judge(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return judge_address(std::span(bytes).first(4));
  BOOST_REQUIRE_MESSAGE(::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1, text << " is no address");
  return judge_address(bytes);
}

bool all_are(address_kind kind, std::string_view what, const std::vector<std::string>& addresses) {
  bool right = true;
  for (const auto& a : addresses) {
    const auto v = judge(a);
    if (v.kind == kind && v.what == what) continue;
    BOOST_TEST_MESSAGE(a << " is judged as: " << v.what << " (" << static_cast<int>(v.kind) << ")");
    right = false;
  }
  return right;
}

constexpr auto internal = address_kind::internal;
constexpr auto metadata = address_kind::metadata;

} // namespace

BOOST_AUTO_TEST_CASE(globally_reachable_addresses_are_global) {
  BOOST_TEST(all_are(address_kind::global, "",
                     {"1.1.1.1",        "8.8.8.8",         "9.255.255.255",   "11.0.0.0",        "100.63.255.255",
                      "100.128.0.0",    "126.255.255.255", "128.0.0.0",       "169.253.255.255", "169.255.0.0",
                      "172.15.255.255", "172.32.0.0",      "192.0.1.0",       "192.167.255.255", "192.169.0.0",
                      "198.17.255.255", "198.20.0.0",      "223.255.255.255", "2606:4700::1111", "2001:4860:4860::8888",
                      "2001:200::1",    "2a00::1",         "3fff:1000::1",    "3ffe::1"}));
}

BOOST_AUTO_TEST_CASE(private_and_special_addresses_are_internal) {
  BOOST_TEST(all_are(internal, "loopback", {"127.0.0.1", "127.0.0.0", "127.255.255.255", "127.1.2.3", "::1"}));
  BOOST_TEST(all_are(internal, "unspecified", {"0.0.0.0", "::"}));
  BOOST_TEST(all_are(internal, "of this network (RFC 791)", {"0.0.0.1", "0.255.255.255"}));
  BOOST_TEST(all_are(internal, "private",
                     {"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255",
                      "fc00::", "fd12:3456::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fec0::1"}));
  BOOST_TEST(all_are(internal, "link-local",
                     {"169.254.0.0", "169.254.169.253", "169.254.255.255", "fe80::1", "febf:ffff::1"}));
  BOOST_TEST(all_are(internal, "shared behind a carrier's NAT", {"100.64.0.0", "100.127.255.255"}));
  BOOST_TEST(all_are(internal, "multicast", {"224.0.0.1", "239.255.255.255", "ff02::1", "ffff::"}));
  BOOST_TEST(all_are(internal, "for documentation",
                     {"192.0.2.1", "198.51.100.1", "203.0.113.255", "2001:db8::1", "3fff:fff::1"}));
  BOOST_TEST(all_are(internal, "for benchmarks", {"198.18.0.0", "198.19.255.255"}));
  BOOST_TEST(all_are(internal, "reserved",
                     {"192.0.0.1", "192.88.99.1", "240.0.0.0", "255.255.255.255", "2001:2::1", "2001:1ff::1", "4000::1",
                      "64:ff9b:1:7f00:0:100:808:808", "100::1", "5f00::1", "e000::1"}));
}

BOOST_AUTO_TEST_CASE(addresses_of_metadata_services_are_known) {
  BOOST_TEST(all_are(metadata, "a metadata service",
                     {"169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16",
                      "192.0.0.192", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"}));
}

BOOST_AUTO_TEST_CASE(an_embedded_ipv4_address_is_judged_as_ipv4) {
  BOOST_TEST(all_are(internal, "loopback",
                     {"::ffff:127.0.0.1", "::ffff:0:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1",
                      "64:ff9b:1::127.0.0.1", "2002:7f00:1::", "2002:7f00:1::8.8.8.8"}));
  BOOST_TEST(all_are(internal, "private",
                     {"::ffff:10.1.2.3", "64:ff9b::192.168.1.1", "2002:c0a8:101::1", "2001:0:808:808::f5ff:fffe"}));
  BOOST_TEST(all_are(internal, "shared behind a carrier's NAT", {"::ffff:100.64.0.1", "64:ff9b::100.64.0.1"}));
  BOOST_TEST(all_are(metadata, "a metadata service",
                     {"::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254",
                      "64:ff9b:1:2:3:4:169.254.169.254", "2002:a9fe:a9fe::1", "2001:0:808:808::5601:5601",
                      "::ffff:169.254.170.2", "64:ff9b::169.254.170.23"}));
  BOOST_TEST(all_are(address_kind::global, "",
                     {"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:0:a00:1::f7f7:f7f7"}));
}

BOOST_AUTO_TEST_CASE(an_address_of_another_length_is_internal) {
  const std::array<unsigned char, 17> bytes{8, 8, 8, 8};
  for (const std::size_t n : {0, 1, 3, 5, 15, 17})
    BOOST_TEST((judge_address(std::span(bytes).first(n)).kind == internal));
}

BOOST_AUTO_TEST_CASE(reach_decides_which_addresses_may_be_connected) {
  for (const auto k : {address_kind::global, internal, metadata}) BOOST_TEST(may_connect(reach::any, k));
  BOOST_TEST(may_connect(reach::internal, address_kind::global));
  BOOST_TEST(may_connect(reach::internal, internal));
  BOOST_TEST(!may_connect(reach::internal, metadata));
  BOOST_TEST(may_connect(reach::open, address_kind::global));
  BOOST_TEST(!may_connect(reach::open, internal));
  BOOST_TEST(!may_connect(reach::open, metadata));
}
