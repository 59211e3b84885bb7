#include "support/run_task.hpp"
#include <postern/io/tasks.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;
using test::run_task;

namespace {

// A value that cannot be made from nothing, nor copied.
struct token {
  explicit token(int v) : value(std::make_unique<int>(v)) {}
  std::unique_ptr<int> value;
};

struct fixture {
  asio::thread_pool pool{2};
  ~fixture() { pool.join(); }
};

task<> pause(std::chrono::milliseconds d) {
  timer t(co_await asio::this_coro::executor, d);
  co_await t.async_wait(use_task);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(on_pool_, fixture)

BOOST_AUTO_TEST_CASE(runs_on_the_pool_and_resumes_on_the_callers_thread) {
  const auto home = std::this_thread::get_id();
  std::thread::id there, back;
  const auto work = [&]() -> task<int> {
    const auto f = [&] {
      there = std::this_thread::get_id();
      return 42;
    };
    const int answer = co_await on_pool(pool, f);
    back = std::this_thread::get_id();
    co_return answer;
  };
  BOOST_TEST(run_task(work()) == 42);
  BOOST_TEST((there != home));
  BOOST_TEST((there != std::thread::id{}));
  BOOST_TEST((back == home));
}

BOOST_AUTO_TEST_CASE(returns_values_without_default_constructor_or_copy) {
  const auto f = [] { return token(7); };
  BOOST_TEST(*run_task(on_pool(pool, f)).value == 7);
  bool ran = false;
  const auto nothing = [&] { ran = true; };
  run_task(on_pool(pool, nothing));
  BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(an_exception_is_rethrown_on_the_callers_thread) {
  const auto home = std::this_thread::get_id();
  std::thread::id caught;
  const auto work = [&]() -> task<> {
    const auto f = []() -> int { throw std::runtime_error("bug"); };
    try {
      co_await on_pool(pool, f);
    } catch (const std::runtime_error&) {
      caught = std::this_thread::get_id();
    }
  };
  run_task(work());
  BOOST_TEST((caught == home));
  const auto nothing = [] { throw std::runtime_error("bug"); };
  BOOST_CHECK_THROW(run_task(on_pool(pool, nothing)), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(concurrent_calls_each_get_their_own_result) {
  std::atomic<int> right{0};
  asio::io_context loop{1};
  asio::thread_pool own{2}; // joined before the loop goes
  const auto one = [&](int n) -> task<> {
    for (int i = 0; i < 50; ++i) {
      const auto f = [n, i] { return std::string(100, static_cast<char>('a' + (n + i) % 26)); };
      const auto s = co_await on_pool(own, f);
      if (s == f()) ++right;
    }
  };
  group g(loop.get_executor());
  for (int n = 0; n < 100; ++n) g.start(one(n));
  loop.run();
  BOOST_TEST(right == 5000);
  BOOST_TEST(g.size() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(reply_from_)

BOOST_AUTO_TEST_CASE(resumes_on_the_callers_thread_and_keeps_the_loop_running_until_then) {
  const auto home = std::this_thread::get_id();
  std::thread other;
  std::thread::id back;
  const auto work = [&]() -> task<token> {
    const auto start = [&](auto reply) {
      other = std::thread([reply]() mutable {
        std::this_thread::sleep_for(50ms);
        reply(token(5));
      });
    };
    auto t = co_await reply_from<token>(start);
    back = std::this_thread::get_id();
    co_return t;
  };
  const auto t = run_task(work());
  other.join();
  BOOST_TEST(*t.value == 5);
  BOOST_TEST((back == home));
}

BOOST_AUTO_TEST_CASE(a_reply_during_start_is_delivered) {
  const auto start = [](auto reply) { reply(std::string("at once")); };
  BOOST_TEST(run_task(reply_from<std::string>(start)) == "at once");
}

BOOST_AUTO_TEST_CASE(a_reply_that_never_comes_is_not_leaked) {
  // What the reply keeps is freed with the loop: LeakSanitizer would tell.
  std::function<void(int)> unanswered;
  asio::io_context loop{1};
  group g(loop.get_executor());
  const auto work = [&]() -> task<> {
    const auto start = [&](auto reply) { unanswered = reply; };
    // NOLINTNEXTLINE(bugprone-unused-local-non-trivial-variable): LeakSanitizer finds it if the frame stays
    const std::string in_the_frame(100, 'x');
    co_await reply_from<int>(start);
    BOOST_ERROR("answered by nobody");
  };
  g.start(work());
  loop.poll();
  BOOST_TEST(g.size() == 1u);
  unanswered = nullptr;
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(within_)

BOOST_AUTO_TEST_CASE(a_result_in_time_is_returned_as_it_is) {
  const auto good = []() -> task<result<token>> {
    co_await pause(1ms);
    co_return token(7);
  };
  const auto bad = []() -> task<result<token>> {
    co_await pause(1ms);
    co_return failure{errc::conflict, "not this one"};
  };
  BOOST_TEST(*run_task(within(10s, good(), "the limit"))->value == 7);
  const auto failed = run_task(within(10s, bad(), "the limit"));
  BOOST_TEST((!failed && failed.error().code == errc::conflict && failed.error().on == "not this one"));
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_takes_too_long_is_cancelled_and_has_ended) {
  bool has_ended = false;
  const auto slow = [&]() -> task<result<int>> {
    const std::shared_ptr<void> note(nullptr, [&](void*) { has_ended = true; });
    co_await pause(10min);
    co_return 1;
  };
  const auto late = run_task(within(20ms, slow(), "the limit"));
  BOOST_TEST((!late && late.error().code == errc::timed_out && late.error().on == "the limit"));
  BOOST_TEST(has_ended);
}

// Asio's operator|| waits for the other side when one side throws.
BOOST_AUTO_TEST_CASE(an_exception_is_rethrown_and_is_no_timeout) {
  const auto at_once = []() -> task<result<int>> {
    throw std::logic_error("bug");
    co_return 1;
  };
  const auto later = []() -> task<result<int>> {
    co_await pause(1ms);
    throw 5;
  };
  const auto begin = std::chrono::steady_clock::now();
  BOOST_CHECK_THROW(run_task(within(5s, at_once(), "the limit")), std::logic_error);
  BOOST_CHECK_THROW(run_task(within(5s, later(), "the limit")), int);
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 5s));
}

BOOST_AUTO_TEST_CASE(a_limit_within_a_limit_ends_with_the_shorter_one) {
  const auto slow = []() -> task<result<int>> {
    co_await pause(10min);
    co_return 1;
  };
  const auto outer = run_task(within(20ms, within(10min, slow(), "inner"), "outer"));
  BOOST_TEST((!outer && outer.error().code == errc::timed_out && outer.error().on == "outer"));
  const auto inner = run_task(within(10min, within(20ms, slow(), "inner"), "outer"));
  BOOST_TEST((!inner && inner.error().code == errc::timed_out && inner.error().on == "inner"));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(group_)

BOOST_AUTO_TEST_CASE(waits_for_the_last_member) {
  asio::io_context loop{1};
  group g(loop.get_executor());
  int ended = 0;
  const auto member = [&](std::chrono::milliseconds d) -> task<> {
    co_await pause(d);
    ++ended;
  };
  const auto main = [&]() -> task<> {
    for (int n = 1; n <= 3; ++n) g.start(member(n * 10ms));
    BOOST_TEST(g.size() == 3u);
    BOOST_TEST(co_await g.wait(10s));
    BOOST_TEST(ended == 3);
    BOOST_TEST(co_await g.wait(10s)); // nothing left: at once
  };
  const auto begun = std::chrono::steady_clock::now();
  asio::co_spawn(loop.get_executor(), main(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  loop.run();
  BOOST_TEST((std::chrono::steady_clock::now() - begun < 5s));
}

BOOST_AUTO_TEST_CASE(stops_waiting_at_the_limit) {
  asio::io_context loop{1};
  group g(loop.get_executor());
  const auto main = [&]() -> task<> {
    g.start(pause(300ms));
    BOOST_TEST(!co_await g.wait(20ms));
    BOOST_TEST(!co_await g.wait(0ms));
    BOOST_TEST(g.size() == 1u);
    BOOST_TEST(co_await g.wait(10s));
  };
  asio::co_spawn(loop.get_executor(), main(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  loop.run();
}

BOOST_AUTO_TEST_CASE(an_exception_ends_its_own_member_only) {
  asio::io_context loop{1};
  group g(loop.get_executor());
  bool other = false;
  const auto good = [&]() -> task<> {
    co_await pause(20ms);
    other = true;
  };
  const auto bad = []() -> task<> {
    co_await pause(1ms);
    throw std::runtime_error("bug");
  };
  const auto odd = []() -> task<> {
    co_await pause(1ms);
    throw 5;
  };
  g.start(bad());
  g.start(odd());
  g.start(good());
  loop.run();
  BOOST_TEST(other);
  BOOST_TEST(g.size() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(periodic_task_)

BOOST_AUTO_TEST_CASE(runs_until_it_is_stopped) {
  asio::io_context loop{1};
  group g(loop.get_executor());
  int rounds = 0;
  periodic_task* self = nullptr;
  const auto work = [&]() -> task<> {
    if (++rounds == 2) throw std::runtime_error("a bug in one round");
    if (rounds == 5) self->stop();
    co_return;
  };
  periodic_task r(loop.get_executor(), std::chrono::milliseconds(1), work);
  self = &r;
  g.start(r.run());
  loop.run();
  BOOST_TEST(rounds == 5);
}

BOOST_AUTO_TEST_CASE(wake_begins_the_next_round_at_once) {
  asio::io_context loop{1};
  group g(loop.get_executor());
  int rounds = 0;
  periodic_task* self = nullptr;
  const auto work = [&]() -> task<> {
    if (++rounds == 3)
      self->stop();
    else
      self->wake();
    co_return;
  };
  periodic_task r(loop.get_executor(), std::chrono::hours(1), work); // longer than any test may last
  self = &r;
  g.start(r.run());
  loop.run();
  BOOST_TEST(rounds == 3);
}

BOOST_AUTO_TEST_SUITE_END()
