#include "support/run_task.hpp"
#include <postern/io/allowance.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <memory>
#include <thread>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

task<> pause(std::chrono::milliseconds d) {
  timer t(co_await asio::this_coro::executor, d);
  co_await t.async_wait(use_task);
}

// Allowances on one loop.
struct fixture {
  asio::io_context loop{1};
  group tasks{loop.get_executor()};
  resources shared{{1000, 100, 2, 300ms}};

  std::unique_ptr<allowance> of(std::string client) {
    return std::make_unique<allowance>(shared, loop.get_executor(), std::move(client));
  }
  void run(task<> t) {
    asio::co_spawn(loop.get_executor(), std::move(t), [](std::exception_ptr e) { BOOST_TEST(!e); });
    loop.run();
    loop.restart();
  }
  // Takes all but the reserve, with four clients.
  std::vector<std::unique_ptr<allowance>> full() {
    std::vector<std::unique_ptr<allowance>> out;
    for (int i = 0; i < 4; ++i) {
      out.push_back(of("client " + std::to_string(i)));
      run([](allowance& a) -> task<> { BOOST_TEST((co_await a.take_memory(225)).has_value()); }(*out.back()));
    }
    return out;
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(the_end_of_an_allowance_gives_everything_back, fixture) {
  auto a = of("a");
  run([](allowance& own) -> task<> {
    BOOST_TEST((co_await own.take_memory(100)).has_value());
    BOOST_TEST((co_await own.take_store_request()).has_value());
  }(*a));
  BOOST_TEST(shared.memory_taken() == 100u);
  BOOST_TEST(shared.store_requests() == 1u);
  a.reset();
  BOOST_TEST(shared.memory_taken() == 0u);
  BOOST_TEST(shared.store_requests() == 0u);
}

BOOST_FIXTURE_TEST_CASE(who_waits_is_woken_when_memory_is_given_back, fixture) {
  auto held = full();
  auto a = of("late");
  bool is_granted = false;
  const auto waiting = [&]() -> task<> { is_granted = (co_await a->take_memory(100)).has_value(); };
  const auto giving = [&]() -> task<> {
    co_await pause(30ms);
    BOOST_TEST(!is_granted);
    held[2]->release_memory(125);
  };
  tasks.start(giving());
  // The first that waits leads, and would get the reserve at once.
  auto leader = of("leader");
  bool has_led = false;
  const auto leading = [&]() -> task<> {
    has_led = (co_await leader->take_memory(90)).has_value();
    co_await waiting();
  };
  run(leading());
  BOOST_TEST(has_led);
  BOOST_TEST(is_granted);
}

BOOST_FIXTURE_TEST_CASE(a_wait_has_an_end, fixture) {
  const auto held = full();
  auto leader = of("leader"), late = of("late");
  run([](allowance& a) -> task<> { BOOST_TEST((co_await a.take_memory(90)).has_value()); }(*leader));
  const auto waiting = [&]() -> task<> {
    auto taken = co_await late->take_memory(50);
    BOOST_TEST_REQUIRE(!taken.has_value());
    BOOST_TEST((taken.error().code == errc::unavailable));
    BOOST_TEST(taken.error().on.find("limits.buffers") != std::string::npos);
  };
  run(waiting());
  BOOST_TEST(shared.memory_taken() == 990u);
}

BOOST_FIXTURE_TEST_CASE(a_client_that_hangs_up_waits_no_longer, fixture) {
  const auto held = full();
  resources patient({100, 0, 0, 60s});
  allowance first(patient, loop.get_executor(), {}), second(patient, loop.get_executor(), {});
  bool is_gone = false;
  second.serve({{}, [&] { return is_gone; }});
  const auto leaving = [&]() -> task<> {
    co_await pause(20ms);
    is_gone = true;
  };
  const auto waiting = [&]() -> task<> {
    BOOST_TEST((co_await first.take_memory(100)).has_value());
    tasks.start(leaving());
    auto taken = co_await second.take_memory(50);
    BOOST_TEST_REQUIRE(!taken.has_value());
    BOOST_TEST((taken.error().code == errc::incomplete_body));
  };
  run(waiting());
}

BOOST_FIXTURE_TEST_CASE(store_requests_are_limited_and_shared, fixture) {
  auto a = of("a"), b = of("b"), c = of("c");
  bool has_c = false;
  const auto waiting = [&]() -> task<> { has_c = (co_await c->take_store_request()).has_value(); };
  const auto all = [&]() -> task<> {
    BOOST_TEST((co_await a->take_store_request()).has_value());
    BOOST_TEST((co_await b->take_store_request()).has_value());
    tasks.start(waiting());
    co_await pause(20ms);
    BOOST_TEST(!has_c);
    a->release_store_request();
    a->release_store_request(); // a second time is no harm
  };
  run(all());
  BOOST_TEST(has_c);
  BOOST_TEST(shared.store_requests() == 2u);
}

BOOST_FIXTURE_TEST_CASE(an_upload_that_has_arrived_may_wait_longer_for_its_request, fixture) {
  resources shared_by_all({0, 0, 1, 20ms});
  allowance first(shared_by_all, loop.get_executor(), {}), second(shared_by_all, loop.get_executor(), {});
  const auto ending = [&]() -> task<> {
    co_await pause(400ms);
    first.release_store_request();
  };
  const auto waiting = [&]() -> task<> {
    BOOST_TEST((co_await first.take_store_request()).has_value());
    auto taken = co_await second.take_store_request();
    BOOST_TEST_REQUIRE(!taken.has_value());
    BOOST_TEST((taken.error().code == errc::unavailable));
    tasks.start(ending());
    BOOST_TEST((co_await second.take_store_request(std::chrono::steady_clock::now() + 10s)).has_value());
  };
  run(waiting());
}

// A client that has sent a byte of 100 MB in a second, and another that has sent nothing yet.
BOOST_FIXTURE_TEST_CASE(the_slow_are_told_to_leave_when_memory_is_short, fixture) {
  auto slow = of("slow"), fast = of("fast"), newcomer = of("new");
  bool is_interrupted = false;
  slow->serve({[&] { is_interrupted = true; }, {}});
  slow->expect(100'000'000);
  const auto work = [&]() -> task<> {
    BOOST_TEST((co_await slow->take_memory(200)).has_value());
    BOOST_TEST((co_await fast->take_memory(200)).has_value());
    slow->begin_wait();
    fast->expect(1'000'000);
    fast->begin_wait();
    co_await pause(1100ms);
    slow->end_wait(1);
    fast->end_wait(900'000);
    slow->begin_wait();
    BOOST_TEST(slow->check().has_value());
    BOOST_TEST((co_await newcomer->take_memory(200)).has_value());
    newcomer->expect(1'000'000);
    auto last = of("last"); // 225 would take all that is left but the reserve
    BOOST_TEST((co_await last->take_memory(225)).has_value());
    co_await pause(20ms);
    BOOST_TEST(is_interrupted);
    BOOST_TEST((slow->check().error().code == errc::unavailable));
    BOOST_TEST((co_await slow->take_memory(1)).has_error());
    BOOST_TEST(fast->check().has_value());
    BOOST_TEST(newcomer->check().has_value());
  };
  run(work());
}

BOOST_AUTO_TEST_CASE(threads_never_hold_more_than_there_is_and_resume_on_their_own_thread) {
  resources shared({1000, 300, 0, 60s});
  std::atomic<std::uint64_t> max{0}, held{0}, strayed{0}, failed{0};
  const auto taker = [&](io_executor executor, unsigned seed) -> task<> {
    const auto home = std::this_thread::get_id();
    for (unsigned n = 0; n < 500; ++n) {
      allowance own(shared, executor, {});
      const auto bytes = 1 + (seed * 7919 + n * 104729) % 300;
      auto taken = co_await own.take_memory(bytes);
      if (!taken) ++failed;
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
      for (unsigned n = 0; n < 8; ++n) g.start(taker(loop.get_executor(), t * 8 + n));
      loop.run();
    });
  for (auto& t : threads) t.join();
  BOOST_TEST(max <= 1000u);
  BOOST_TEST(max > 500u); // they were held at the same time
  BOOST_TEST(strayed == 0u);
  BOOST_TEST(failed == 0u);
  BOOST_TEST(shared.memory_taken() == 0u);
}
