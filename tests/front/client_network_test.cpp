#include <postern/front/client_network.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern::front;
using boost::asio::ip::make_address;

BOOST_AUTO_TEST_CASE(a_mapped_address_is_the_ipv4_address) {
  BOOST_TEST(unmapped(make_address("::ffff:192.0.2.1")).to_string() == "192.0.2.1");
  BOOST_TEST(unmapped(make_address("192.0.2.1")).to_string() == "192.0.2.1");
  BOOST_TEST(unmapped(make_address("2001:db8::ffff:1")).to_string() == "2001:db8::ffff:1");
}

BOOST_AUTO_TEST_CASE(a_network_of_64_bits_is_one_client) {
  BOOST_TEST(network_of(make_address("2001:db8:1:2:3:4:5:6")).to_string() == "2001:db8:1:2::");
  BOOST_TEST(network_of(make_address("2001:db8:1:2::9")).to_string() == "2001:db8:1:2::");
  BOOST_TEST(network_of(make_address("2001:db8:1:3::9")).to_string() == "2001:db8:1:3::");
  BOOST_TEST(network_of(make_address("::ffff:192.0.2.1")).to_string() == "192.0.2.1");
  BOOST_TEST(network_of(make_address("192.0.2.2")).to_string() == "192.0.2.2");
}
