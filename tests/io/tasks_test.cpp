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

BOOST_AUTO_TEST_SUITE(byte_budget_)

constexpr std::chrono::milliseconds long_wait = std::chrono::minutes(1);

BOOST_AUTO_TEST_CASE(releases_what_was_taken) {
  byte_budget b(100);
  {
    auto first = run_task(b.take(60, long_wait)).value();
    BOOST_TEST(b.taken() == 60u);
    auto second = run_task(b.take(40, long_wait)).value();
    BOOST_TEST(b.taken() == 100u);
    first = byte_budget::ticket{};
    BOOST_TEST(b.taken() == 40u);
    const auto moved = std::move(second);
    BOOST_TEST(b.taken() == 40u);
  }
  BOOST_TEST(b.taken() == 0u);
}

BOOST_AUTO_TEST_CASE(nobody_waits_without_a_limit) {
  byte_budget b(0);
  const auto a = run_task(b.take(1ull << 50, long_wait)).value();
  const auto c = run_task(b.take(1ull << 50, long_wait)).value();
  BOOST_TEST(b.taken() == 2ull << 50);
}

BOOST_AUTO_TEST_CASE(a_request_larger_than_the_budget_is_granted_when_nothing_is_taken) {
  byte_budget b(100);
  const auto t = run_task(b.take(1000, long_wait)).value();
  BOOST_TEST(b.taken() == 1000u);
}

BOOST_AUTO_TEST_CASE(has_ample_room_up_to_a_quarter) {
  byte_budget b(400), unlimited(0);
  BOOST_TEST(b.has_ample_room(100));
  BOOST_TEST(!b.has_ample_room(101));
  const auto t = run_task(b.take(60, long_wait)).value();
  BOOST_TEST(b.has_ample_room(40));
  BOOST_TEST(!b.has_ample_room(41));
  BOOST_TEST(unlimited.has_ample_room(std::uint64_t{1} << 60));
}

BOOST_AUTO_TEST_CASE(first_come_first_served) {
  byte_budget b(100);
  asio::io_context loop{1};
  group g(loop.get_executor());
  std::string order;
  const auto taker = [&](char name, std::uint64_t bytes) -> task<> {
    const auto t = (co_await b.take(bytes, long_wait)).value();
    order += name;
    co_await pause(5ms);
  };
  const auto main = [&]() -> task<> {
    auto all = (co_await b.take(100, long_wait)).value();
    g.start(taker('a', 90));
    g.start(taker('b', 5000));
    g.start(taker('c', 1)); // would fit beside a, but b was there first
    g.start(taker('d', 1));
    co_await pause(10ms);
    BOOST_TEST(order == "");
    all = byte_budget::ticket{};
    BOOST_TEST(co_await g.wait(10s));
  };
  asio::co_spawn(loop.get_executor(), main(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  loop.run();
  BOOST_TEST(order == "abcd");
  BOOST_TEST(b.taken() == 0u);
}

BOOST_AUTO_TEST_CASE(a_small_request_does_not_overtake_a_large_one) {
  byte_budget b(100);
  asio::io_context loop{1};
  group g(loop.get_executor());
  std::string order;
  const auto taker = [&](char name, std::uint64_t bytes) -> task<> {
    const auto t = (co_await b.take(bytes, long_wait)).value();
    order += name;
  };
  const auto main = [&]() -> task<> {
    auto half = (co_await b.take(50, long_wait)).value();
    g.start(taker('l', 90));
    co_await pause(5ms);
    g.start(taker('s', 1)); // fits now, but would keep the large one waiting
    co_await pause(5ms);
    BOOST_TEST(order == "");
    half = byte_budget::ticket{};
    BOOST_TEST(co_await g.wait(10s));
  };
  asio::co_spawn(loop.get_executor(), main(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  loop.run();
  BOOST_TEST(order == "ls");
}

BOOST_AUTO_TEST_CASE(threads_never_hold_more_than_the_budget_and_resume_on_their_own_thread) {
  byte_budget b(1000);
  std::atomic<std::uint64_t> max{0}, held{0}, strayed{0};
  const auto taker = [&](unsigned seed) -> task<> {
    const auto home = std::this_thread::get_id();
    for (unsigned n = 0; n < 500; ++n) {
      const auto bytes = 1 + (seed * 7919 + n * 104729) % 600;
      const auto t = (co_await b.take(bytes, long_wait)).value();
      const auto now = held += bytes;
      for (auto m = max.load(); now > m && !max.compare_exchange_weak(m, now);) {
      }
      if (std::this_thread::get_id() != home) ++strayed;
      if (n % 50 == 0) co_await pause(1ms);
      held -= bytes;
    }
  };
  std::array<asio::io_context, 4> loops; // outlive the threads, which wake each other
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      auto& loop = loops[t];
      group g(loop.get_executor());
      for (unsigned n = 0; n < 8; ++n) g.start(taker(t * 8 + n));
      loop.run();
    });
  for (auto& t : threads) t.join();
  BOOST_TEST(max <= 1000u);
  BOOST_TEST(max > 500u); // they were held at the same time
  BOOST_TEST(strayed == 0u);
  BOOST_TEST(b.taken() == 0u);
}

BOOST_AUTO_TEST_CASE(a_wait_times_out_and_the_next_waiters_are_granted) {
  byte_budget b(100);
  asio::io_context loop{1};
  group g(loop.get_executor());
  std::vector<std::string> seen;
  auto share = run_task(b.take(60, long_wait)).value();
  const auto large = [&]() -> task<> {
    auto t = co_await b.take(50, std::chrono::milliseconds(20));
    seen.push_back(t ? "large" : std::string(text_of(t.error().code).name));
  };
  const auto fitting = [&]() -> task<> {
    auto t = co_await b.take(40, long_wait); // behind the large one, although it would fit
    seen.push_back(t ? "fitting" : "not given");
  };
  g.start(large());
  g.start(fitting());
  loop.run();
  BOOST_TEST(seen == (std::vector<std::string>{"unavailable", "fitting"}));
  BOOST_TEST(b.taken() == 60u);
  share = byte_budget::ticket{};
  BOOST_TEST(b.taken() == 0u);
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
