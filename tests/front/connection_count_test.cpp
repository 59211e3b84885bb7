#include <postern/front/connection_count.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using front::connection_count;

BOOST_AUTO_TEST_CASE(connections_are_limited_in_all_and_by_address) {
  connection_count counts(3, 2);
  const auto a = asio::ip::make_address("10.0.0.1"), b = asio::ip::make_address("10.0.0.2");
  {
    auto first = counts.enter(a), second = counts.enter(a);
    BOOST_TEST(first.has_value());
    BOOST_TEST(second.has_value());
    BOOST_TEST(!counts.enter(a).has_value());
    auto third = counts.enter(b);
    BOOST_TEST(third.has_value());
    BOOST_TEST(!counts.enter(b).has_value()); // three in all
  }
  BOOST_TEST(counts.enter(a).has_value());
}

BOOST_AUTO_TEST_CASE(a_proxy_may_have_more_connections_than_one_address) {
  connection_count count(3, 1);
  const auto proxy = asio::ip::make_address("10.0.0.1");
  auto first = count.enter(proxy, true), second = count.enter(proxy, true);
  BOOST_TEST(second.has_value());
  auto third = count.enter(proxy, true);
  BOOST_TEST(third.has_value());
  BOOST_TEST(!count.enter(proxy, true).has_value()); // the total holds for proxies too
}

BOOST_AUTO_TEST_CASE(a_client_behind_a_proxy_counts_by_its_requests) {
  connection_count count(1, 2);
  const auto client = asio::ip::make_address("2001:db8::1"), neighbour = asio::ip::make_address("2001:db8::2");
  const auto connection = count.enter(asio::ip::make_address("10.0.0.1"), true);
  {
    const auto first = count.enter_behind_proxy(client), second = count.enter_behind_proxy(neighbour);
    BOOST_TEST(second.has_value()); // requests do not count in the total
    BOOST_TEST(!count.enter_behind_proxy(client).has_value());
    BOOST_TEST(count.enter_behind_proxy(asio::ip::make_address("2001:db8:1::1")).has_value());
  }
  BOOST_TEST(count.enter_behind_proxy(client).has_value());
}

BOOST_AUTO_TEST_CASE(zero_switches_a_limit_off) {
  connection_count count(0, 0);
  const auto peer = asio::ip::make_address("::1");
  std::vector<connection_count::ticket> open;
  for (int i = 0; i < 1000; ++i) open.push_back(count.enter(peer).value());
  BOOST_TEST(open.size() == 1000u);
}
