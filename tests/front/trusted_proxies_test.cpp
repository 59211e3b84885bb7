#include <postern/front/trusted_proxies.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>

using namespace postern;
using front::trusted_proxies;

namespace {

const trusted_proxies proxies({"10.0.0.0/8", "192.0.2.7", "fd00::/8", "::1"});

// The client address that Postern reads from a peer's request with this field.
std::string client_of(const char* peer, std::string_view name = "", std::string_view value = "") {
  boost::beast::http::fields fields;
  if (!name.empty()) fields.insert(name, value);
  return proxies.client_address(asio::ip::make_address(peer), fields).to_string();
}
std::string forwarded_for(std::string_view value) { return client_of("10.1.2.3", "X-Forwarded-For", value); }
std::string forwarded(std::string_view value) { return client_of("10.1.2.3", "Forwarded", value); }

} // namespace

BOOST_AUTO_TEST_CASE(addresses_and_networks_of_both_families_are_trusted) {
  for (const char* proxy : {"10.0.0.1", "10.255.255.254", "192.0.2.7", "fd12::1", "::1"})
    BOOST_TEST(proxies.contains(asio::ip::make_address(proxy)), proxy);
  for (const char* other : {"11.0.0.1", "192.0.2.8", "192.0.2.6", "fe80::1", "127.0.0.1"})
    BOOST_TEST(!proxies.contains(asio::ip::make_address(other)), other);
  BOOST_TEST(!trusted_proxies().contains(asio::ip::make_address("127.0.0.1")));
}

BOOST_AUTO_TEST_CASE(every_address_of_a_network_is_trusted_also_the_first_and_the_last) {
  const trusted_proxies some(
      {"192.0.2.4/31", "198.51.100.0/30", "::ffff:203.0.113.1", "::ffff:10.0.0.0/104", "fd00::/126"});
  for (const char* proxy : {"192.0.2.4", "192.0.2.5", "198.51.100.0", "198.51.100.3", "203.0.113.1", "10.9.9.9",
                            "::ffff:10.255.255.255", "fd00::", "fd00::3"})
    BOOST_TEST(some.contains(asio::ip::make_address(proxy)), proxy);
  for (const char* other : {"192.0.2.3", "192.0.2.6", "198.51.100.4", "203.0.113.2", "11.0.0.0", "fd00::4"})
    BOOST_TEST(!some.contains(asio::ip::make_address(other)), other);
  BOOST_TEST(trusted_proxies({"fe80::/10"}).contains(asio::ip::make_address("fe80::1%1")));
  BOOST_TEST(trusted_proxies({"0.0.0.0/0"}).contains(asio::ip::make_address("192.0.2.1")));
}

BOOST_AUTO_TEST_CASE(an_entry_that_is_no_network_is_rejected_with_its_text) {
  for (const char* wrong : {"", "proxy.example.com", "10.0.0.0/33", "10.0.0", "fd00::/129", "10.0.0.0/x"}) {
    const auto quotes_it = [&](const std::invalid_argument& e) {
      return std::string(e.what()).find('"' + std::string(wrong) + '"') == 0;
    };
    BOOST_CHECK_EXCEPTION(trusted_proxies({wrong}), std::invalid_argument, quotes_it);
  }
}

BOOST_AUTO_TEST_CASE(a_peer_that_is_no_proxy_cannot_name_another_client) {
  BOOST_TEST(client_of("203.0.113.9", "X-Forwarded-For", "198.51.100.1") == "203.0.113.9");
  BOOST_TEST(client_of("203.0.113.9", "Forwarded", "for=198.51.100.1") == "203.0.113.9");
}

BOOST_AUTO_TEST_CASE(a_proxy_names_the_client_in_x_forwarded_for) {
  BOOST_TEST(forwarded_for("198.51.100.1") == "198.51.100.1");
  BOOST_TEST(forwarded_for(" 198.51.100.1:4711 ") == "198.51.100.1");
  BOOST_TEST(forwarded_for("\"[2001:db8::1]:4711\"") == "2001:db8::1");
  BOOST_TEST(forwarded_for("2001:db8::1") == "2001:db8::1");
}

BOOST_AUTO_TEST_CASE(only_the_last_address_counts_because_the_client_can_send_the_others) {
  BOOST_TEST(forwarded_for("203.0.113.1, 198.51.100.1") == "198.51.100.1");
  boost::beast::http::fields two;
  two.insert("X-Forwarded-For", "203.0.113.1");
  two.insert("X-Forwarded-For", "203.0.113.2, 198.51.100.1");
  BOOST_TEST(proxies.client_address(asio::ip::make_address("10.1.2.3"), two).to_string() == "198.51.100.1");
}

BOOST_AUTO_TEST_CASE(a_proxy_names_the_client_in_forwarded) {
  BOOST_TEST(forwarded("for=198.51.100.1") == "198.51.100.1");
  BOOST_TEST(forwarded("for=203.0.113.1, proto=https; For=\"[2001:db8::1]:80\"; by=10.0.0.1") == "2001:db8::1");
}

BOOST_AUTO_TEST_CASE(a_field_without_an_address_leaves_the_peer) {
  for (const char* useless : {"", "unknown", "_hidden", "198.51.100.1, ", "999.1.1.1"})
    BOOST_TEST(forwarded_for(useless) == "10.1.2.3", useless);
  for (const char* useless : {"", "for=unknown", "by=198.51.100.1", "for=", "fo"})
    BOOST_TEST(forwarded(useless) == "10.1.2.3", useless);
  BOOST_TEST(client_of("10.1.2.3") == "10.1.2.3");
}
