#include <postern/front/listen_address.hpp>
#include <postern/io/tasks.hpp>

#include <boost/test/unit_test.hpp>

#include <stdexcept>

using namespace postern;
using namespace postern::front;

BOOST_AUTO_TEST_CASE(addresses_are_read_as_people_write_them) {
  BOOST_TEST(parse_listen_address("127.0.0.1:8080").port() == 8080);
  BOOST_TEST(parse_listen_address("[::1]:80").address().is_v6());
  BOOST_TEST(parse_listen_address("localhost:1").address().is_loopback());
  BOOST_TEST(parse_listen_address(":9").address().is_unspecified());
  for (const char* wrong : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "[::1:80", "a b:1", "127.0.0.1:8080x"})
    BOOST_CHECK_THROW(parse_listen_address(wrong), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(an_address_is_shown_as_it_is_written) {
  for (const char* text : {"127.0.0.1:8080", "[::1]:80"}) BOOST_TEST(to_text(parse_listen_address(text)) == text);
}

BOOST_AUTO_TEST_CASE(several_sockets_share_a_port_unless_another_program_uses_it) {
  asio::io_context loop{1};
  tcp_acceptor first(loop.get_executor()), second(loop.get_executor());
  listen_on(first, parse_listen_address("127.0.0.1:0"));
  const auto at = first.local_endpoint();
  listen_on(second, at);
  const auto names_the_address = [&](const std::runtime_error& e) {
    return std::string(e.what()) == "cannot listen on " + to_text(at) +
                                        ": Address already in use; another program uses this port; stop it, or choose "
                                        "another port (server.listen, server.admin_listen)";
  };
  BOOST_CHECK_EXCEPTION(require_free_port(at), std::runtime_error, names_the_address);
  first.close();
  second.close();
  require_free_port(at);
}

BOOST_AUTO_TEST_CASE(an_address_that_this_machine_lacks_is_an_error_with_its_remedy) {
  const auto at = parse_listen_address("192.0.2.1:8080"); // for documentation: RFC 5737
  const auto has_remedy = [](const std::runtime_error& e) {
    return std::string(e.what()).find("this machine has no such address") != std::string::npos;
  };
  BOOST_CHECK_EXCEPTION(require_free_port(at), std::runtime_error, has_remedy);
  asio::io_context loop{1};
  tcp_acceptor acceptor(loop.get_executor());
  BOOST_CHECK_EXCEPTION(listen_on(acceptor, at), std::runtime_error, has_remedy);
}
