#include <postern/front/turned_away.hpp>

#include <boost/test/unit_test.hpp>

#include <list>
#include <support/socket_pair.hpp>

using namespace postern;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

struct fixture {
  asio::io_context loop{1};
  front::turned_away refused{std::vector<std::string>{"HTTP/1.1 503 Busy\r\n\r\n"}};
};

} // namespace

BOOST_FIXTURE_TEST_CASE(the_answer_arrives_although_the_client_is_still_sending, fixture) {
  test::socket_pair pair(loop);
  pair.client.write(std::string(20'000, 'x'));
  refused.add(std::move(pair.server));
  pair.client.write(std::string(20'000, 'x'));
  refused.clean_up(steady_clock::now());
  BOOST_TEST(refused.size() == 1u);
  BOOST_TEST(pair.client.read() == "HTTP/1.1 503 Busy\r\n\r\n");
}

BOOST_FIXTURE_TEST_CASE(a_socket_closes_when_its_client_leaves_or_after_a_second, fixture) {
  test::socket_pair leaves(loop), stays(loop);
  refused.add(std::move(leaves.server));
  refused.add(std::move(stays.server));
  leaves.client.close_sending();
  refused.clean_up(steady_clock::now());
  BOOST_TEST(refused.size() == 1u);
  refused.clean_up(steady_clock::now() + 1100ms);
  BOOST_TEST(refused.size() == 0u);
}

BOOST_FIXTURE_TEST_CASE(only_so_many_stay_open, fixture) {
  std::list<test::socket_pair> pairs;
  for (std::size_t n = 0; n < front::turned_away::max + 3; ++n) refused.add(std::move(pairs.emplace_back(loop).server));
  BOOST_TEST(refused.size() == front::turned_away::max);
}
