#include <postern/io/net/wire.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <support/deadlines.hpp>
#include <support/run_task.hpp>
#include <support/socket_pair.hpp>

using namespace postern;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

// One connection of the server's side; its deadlines are checked every 5 ms while a step runs.
struct fixture {
  asio::io_context& loop = test::loop_of_steps();
  connections list{loop.get_executor()};
  test::socket_pair pair{loop};
  test::client_end& client = pair.client;
  std::unique_ptr<connection> c = std::make_unique<connection>(list, std::move(pair.server), nullptr);

  // Runs the step with deadlines enforced.
  template <class T> T run(task<T> step) { return test::run_step(watched(std::move(step))); }

  result<std::string> read() {
    std::array<char, 64> buffer;
    const auto n = run(c->read_some(buffer));
    if (!n) return n.error();
    return std::string(buffer.data(), *n);
  }
  std::string ahead() const { return std::string(c->ahead()); }

private:
  template <class T> task<T> watched(task<T> step) {
    bool is_done = false;
    group checks(loop.get_executor());
    checks.start(test::enforce_deadlines(list, is_done));
    if constexpr (std::is_void_v<T>) {
      co_await std::move(step);
      is_done = true;
      co_await checks.wait(1s);
    } else {
      auto value = co_await std::move(step);
      is_done = true;
      co_await checks.wait(1s);
      co_return value;
    }
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(wire, fixture)

BOOST_AUTO_TEST_CASE(bytes_go_both_ways) {
  client.write("hello");
  BOOST_TEST(read().value() == "hello");
  BOOST_TEST(run(c->write("world")).has_value());
  BOOST_TEST(client.read() == "world");
  BOOST_TEST(!c->is_secure());
}

BOOST_AUTO_TEST_CASE(a_large_write_waits_for_the_reader) {
  const std::string large(8 << 20, 'x');
  std::size_t seen = 0;
  const auto write_and_read = [&]() -> task<result<void>> {
    group reader(loop.get_executor());
    const auto read_all = [&]() -> task<> {
      timer pause(loop.get_executor());
      boost::system::error_code ec;
      while (seen < large.size()) {
        seen += client.read().size();
        pause.expires_after(1ms);
        co_await pause.async_wait(asio::redirect_error(use_task, ec));
      }
    };
    reader.start(read_all());
    auto written = co_await c->write(large);
    co_await reader.wait(10s);
    co_return written;
  };
  BOOST_TEST(run(write_and_read()).has_value());
  BOOST_TEST(seen == large.size());
}

BOOST_AUTO_TEST_CASE(a_read_returns_zero_after_the_peer_has_closed) {
  client.write("last");
  client.close_sending();
  BOOST_TEST(read().value() == "last");
  BOOST_TEST(read().value().empty());
  BOOST_TEST(run(c->write("still heard")).has_value());
  BOOST_TEST(client.read() == "still heard");
}

BOOST_AUTO_TEST_CASE(writing_to_a_peer_that_has_gone_fails) {
  client.close();
  auto written = run(c->write("a"));
  if (written) written = run(c->write("b")); // the first write may still fit into the socket's buffer
  BOOST_TEST_REQUIRE(!written.has_value());
  BOOST_TEST((written.error().code == errc::disconnected));
}

BOOST_AUTO_TEST_CASE(a_read_ends_at_the_deadline) {
  c->expires_after(30ms);
  const auto begin = steady_clock::now();
  const auto got = read();
  BOOST_TEST_REQUIRE(!got.has_value());
  BOOST_TEST((got.error().code == errc::timed_out));
  BOOST_TEST(c->is_expired());
  BOOST_TEST((steady_clock::now() - begin >= 30ms));
}

BOOST_AUTO_TEST_CASE(a_write_ends_at_the_deadline) {
  c->expires_after(30ms);
  const auto written = run(c->write(std::string(8 << 20, 'x'))); // nobody reads
  BOOST_TEST_REQUIRE(!written.has_value());
  BOOST_TEST((written.error().code == errc::timed_out));
}

BOOST_AUTO_TEST_CASE(after_a_deadline_an_error_response_can_still_be_sent) {
  c->expires_after(10ms);
  BOOST_TEST(!read().has_value());
  c->expires_after(1s);
  BOOST_TEST(!c->is_expired());
  BOOST_TEST(run(c->write("408")).has_value());
  BOOST_TEST(client.read() == "408");
}

BOOST_AUTO_TEST_CASE(without_a_new_deadline_the_connection_is_cut_at_the_next_one) {
  c->expires_after(10ms);
  BOOST_TEST(!read().has_value());
  const auto begin = steady_clock::now();
  BOOST_TEST(!run(c->write(std::string(8 << 20, 'x'))).has_value()); // nobody reads
  BOOST_TEST((steady_clock::now() - begin >= 4s));
  (void)client.read();
  BOOST_TEST(client.is_ended());
}

BOOST_AUTO_TEST_CASE(a_deadline_moves_and_zero_removes_it) {
  c->expires_after(20ms);
  c->expires_after(0ms);
  const auto late = [&]() -> task<> {
    timer pause(loop.get_executor(), 60ms);
    boost::system::error_code ec;
    co_await pause.async_wait(asio::redirect_error(use_task, ec));
    client.write("late");
  };
  group writer(loop.get_executor());
  writer.start(late());
  BOOST_TEST(read().value() == "late");
}

BOOST_AUTO_TEST_CASE(bytes_ahead_are_kept_until_they_are_used) {
  client.write("GET / one");
  BOOST_TEST(run(c->read_ahead(64)).value() == 9u);
  BOOST_TEST(ahead() == "GET / one");
  c->use(4);
  BOOST_TEST(ahead() == "/ one");
  client.write(" two");
  BOOST_TEST(run(c->read_ahead(64)).value() == 4u);
  BOOST_TEST(ahead() == "/ one two");
  c->use(9);
  BOOST_TEST(ahead().empty());
}

BOOST_AUTO_TEST_CASE(bytes_put_back_come_first) {
  client.write("tail");
  BOOST_TEST(run(c->read_ahead(64)).has_value());
  c->use(1);
  c->put_back("head ");
  BOOST_TEST(ahead() == "head ail");
  c->put_back("");
  BOOST_TEST(ahead() == "head ail");
  client.write("!");
  BOOST_TEST(run(c->read_ahead(64)).value() == 1u);
  BOOST_TEST(ahead() == "head ail!");
}

BOOST_AUTO_TEST_CASE(no_more_than_the_limit_is_held) {
  client.write(std::string(100, 'a'));
  BOOST_TEST(run(c->read_ahead(16)).value() == 16u);
  c->use(10);
  BOOST_TEST(run(c->read_ahead(16)).value() == 10u);
  BOOST_TEST(ahead().size() == 16u);
}

BOOST_AUTO_TEST_CASE(the_buffer_grows_for_larger_headers) {
  const std::string text(20'000, 'b');
  client.write(text);
  while (ahead().size() < text.size()) BOOST_TEST_REQUIRE(run(c->read_ahead(32 << 10)).value() > 0u);
  BOOST_TEST((ahead() == text));
}

BOOST_AUTO_TEST_CASE(an_idle_connection_is_quiet_until_the_peer_acts) {
  BOOST_TEST(c->is_quiet());
  client.write("x");
  BOOST_TEST(!c->is_quiet());
  BOOST_TEST(read().value() == "x");
  BOOST_TEST(c->is_quiet());
  c->put_back("y");
  BOOST_TEST(!c->is_quiet());
  c->use(1);
  client.close_sending();
  BOOST_TEST(!c->is_quiet());
}

BOOST_AUTO_TEST_CASE(lingering_drops_what_still_comes_until_the_peer_ends) {
  client.write(std::string(50'000, 'x'));
  client.close_sending();
  const auto begin = steady_clock::now();
  run(c->linger(1 << 20, 10s));
  BOOST_TEST((steady_clock::now() - begin < 5s)); // lingering ended with the peer, not at its deadline
  BOOST_TEST(client.read().empty());
  BOOST_TEST(client.is_ended()); // our side is closed
}

BOOST_AUTO_TEST_CASE(lingering_stops_at_its_byte_limit) {
  client.write(std::string(100'000, 'x'));
  const auto begin = steady_clock::now();
  run(c->linger(40'000, 10s));
  BOOST_TEST((steady_clock::now() - begin < 5s));
  BOOST_TEST(!read().value().empty()); // the rest is still there
}

BOOST_AUTO_TEST_CASE(lingering_stops_at_its_deadline) {
  client.write("x"); // and never ends
  const auto begin = steady_clock::now();
  run(c->linger(1 << 20, 40ms));
  BOOST_TEST((steady_clock::now() - begin >= 40ms));
  BOOST_TEST((steady_clock::now() - begin < 5s));
}

BOOST_AUTO_TEST_CASE(a_drain_cuts_idle_connections_only) {
  test::socket_pair second(loop);
  connection busy(list, std::move(second.server), nullptr);
  c->set_idle(true);
  BOOST_TEST(!list.is_draining());
  list.drain();
  BOOST_TEST(list.is_draining());
  (void)client.read();
  BOOST_TEST(client.is_ended());
  BOOST_TEST(run(busy.write("goes on")).has_value());
  BOOST_TEST(second.client.read() == "goes on");
  list.cut_all();
  (void)second.client.read();
  BOOST_TEST(second.client.is_ended());
}

BOOST_AUTO_TEST_CASE(a_cut_ends_a_read_that_waits) {
  const auto cut_later = [&]() -> task<> {
    timer pause(loop.get_executor(), 20ms);
    boost::system::error_code ec;
    co_await pause.async_wait(asio::redirect_error(use_task, ec));
    c->cut();
  };
  group cutter(loop.get_executor());
  cutter.start(cut_later());
  const auto got = read();
  BOOST_TEST((!got.has_value() || got->empty()));
}

BOOST_AUTO_TEST_CASE(watching_ends_with_stop) {
  group watcher(loop.get_executor());
  bool is_done = false;
  watcher.start(list.watch());
  watcher.start(test::cut_after_20_s(list, is_done));
  c->expires_after(10ms);
  std::array<char, 8> buffer;
  const auto got = test::run_step(c->read_some(buffer)); // only the list's own coroutine checks the deadline
  is_done = true;
  BOOST_TEST((!got.has_value() && got.error().code == errc::timed_out));
  list.stop();
  BOOST_TEST(test::run_step(watcher.wait(5s)));
}

BOOST_AUTO_TEST_SUITE_END()
