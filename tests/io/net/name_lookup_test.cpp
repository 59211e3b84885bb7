#include "support/run_task.hpp"
#include <postern/io/net/name_lookup.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/test/unit_test.hpp>

#include <condition_variable>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

// A resolver that blocks until the test releases it.
struct mute_resolver {
  std::mutex mutex;
  std::condition_variable changed;
  bool speaks = false;
  int asked = 0;

  result<name_lookup::endpoints> ask(const std::string& host, std::uint16_t port) {
    std::unique_lock lock(mutex);
    ++asked;
    changed.notify_all();
    if (host == "mute") changed.wait(lock, [this] { return speaks; });
    return name_lookup::endpoints{{asio::ip::make_address("192.0.2.1"), port}};
  }
  void speak() {
    std::lock_guard lock(mutex);
    speaks = true;
    changed.notify_all();
  }
  name_lookup::resolver function() {
    return [this](const std::string& host, std::uint16_t port) { return ask(host, port); };
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(names_are_resolved_by_the_system) {
  name_lookup known;
  const auto found = test::run_task(known.find("127.0.0.1", 80, 5s)).value();
  BOOST_REQUIRE(found.size() == 1u);
  BOOST_TEST(found.front().address().to_string() == "127.0.0.1");
  BOOST_TEST(found.front().port() == 80);
  const auto none = test::run_task(known.find("no such name.invalid", 80, 20s));
  BOOST_TEST((!none && none.error().code == errc::unavailable));
  BOOST_TEST(none.error().on.find("\"no such name.invalid\" cannot be resolved") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_lookup_times_out_while_the_resolver_still_blocks) {
  mute_resolver silent;
  name_lookup known(1, silent.function());
  const auto begin = steady_clock::now();
  const auto found = test::run_task(known.find("mute", 80, 50ms));
  BOOST_TEST((!found && found.error().code == errc::timed_out));
  BOOST_TEST((steady_clock::now() - begin < 5s));
  silent.speak(); // the caller no longer waits
}

BOOST_AUTO_TEST_CASE(cancelling_ends_the_wait) {
  mute_resolver silent;
  name_lookup known(1, silent.function());
  const auto begin = steady_clock::now();
  const auto found = test::run_task(within(50ms, known.find("mute", 80, 1h), "it"));
  BOOST_TEST((!found && found.error().on == "it"));
  BOOST_TEST((steady_clock::now() - begin < 5s));
  silent.speak();
}

BOOST_AUTO_TEST_CASE(a_blocked_lookup_does_not_delay_others) {
  mute_resolver silent;
  name_lookup known(2, silent.function());
  const auto both_of = [&]() -> task<bool> {
    group hanging(co_await asio::this_coro::executor);
    const auto ask_mute = [](name_lookup& of) -> task<> { (void)co_await of.find("mute", 80, 1h); };
    hanging.start(ask_mute(known));
    const auto found = co_await known.find("quick", 81, 10s);
    silent.speak();
    (void)co_await hanging.wait(10s);
    co_return found.has_value() && found->front().port() == 81;
  };
  BOOST_TEST(test::run_task(both_of()));
}

BOOST_AUTO_TEST_CASE(results_that_arrive_at_the_timeout_are_safe) {
  for (int i = 0; i < 200; ++i) {
    const auto in_a_while = [i](const std::string&, std::uint16_t port) -> result<name_lookup::endpoints> {
      std::this_thread::sleep_for(std::chrono::microseconds(900 + i));
      return name_lookup::endpoints{{asio::ip::make_address("192.0.2.1"), port}};
    };
    name_lookup known(1, in_a_while);
    const auto found = test::run_task(known.find("x", 80, 1ms));
    BOOST_TEST((found || found.error().code == errc::timed_out));
  }
}
