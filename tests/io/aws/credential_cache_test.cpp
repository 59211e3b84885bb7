#include "support/captured_log.hpp"
#include "support/run_task.hpp"
#include <postern/io/aws/credentials.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <functional>
#include <thread>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

const seconds_clock begin_of_time = parse_iso8601("2026-11-23T18:15:00Z").value();

// Returns numbered keys, or fails while the test says so.
struct numbered_source final : credential_source {
  task<result<held_credentials>> fetch() override {
    const auto n = ++fetched;
    if (delay.count() > 0) {
      timer t(co_await asio::this_coro::executor, delay);
      co_await t.async_wait(use_task);
    }
    if (broken) co_return failure{errc::unavailable, "the source is broken"};
    held_credentials h;
    h.keys.access_key = "KEY" + std::to_string(n);
    if (life) h.expires = clock() + *life;
    h.source = "a test";
    co_return h;
  }
  utc_clock clock;
  std::optional<std::chrono::seconds> life;
  std::chrono::milliseconds delay{};
  std::atomic<bool> broken = false;
  std::atomic<int> fetched = 0;
};

struct fixture {
  std::atomic<std::int64_t> passed{0}; // seconds
  utc_clock clock = [this] { return begin_of_time + std::chrono::seconds(passed); };
  numbered_source* source = nullptr;
  std::optional<credential_cache> cache;

  explicit fixture(std::optional<std::chrono::seconds> life = 1000s, std::chrono::seconds spare = 100s) {
    log::set_up(log::level::error, log::format::logfmt); // hundreds are fetched
    auto made = std::make_unique<numbered_source>();
    source = made.get();
    source->clock = clock;
    source->life = life;
    cache.emplace(std::move(made), spare, clock);
  }
  std::string get() {
    const auto got = run_task(cache->get());
    return got ? (*got)->keys.access_key : describe(got.error());
  }
  std::string renew(const std::string& key) {
    const auto got = run_task(cache->renew(key));
    return got ? (*got)->keys.access_key : describe(got.error());
  }
};

// The outcomes of `calls` concurrent calls on one io_context.
std::vector<std::string> at_once(int calls, const std::function<task<result<credentials_ptr>>()>& call) {
  std::vector<std::string> outcomes;
  const auto one = [&]() -> task<> {
    auto got = co_await call();
    outcomes.push_back(got ? (*got)->keys.access_key : std::string(text_of(got.error().code).name));
  };
  const auto all = [&]() -> task<> {
    group g((co_await asio::this_coro::executor));
    for (int n = 0; n < calls; ++n) g.start(one());
    BOOST_TEST(co_await g.wait(60s));
  };
  run_task(all());
  return outcomes;
}

// Does keep_fresh renew credentials of this life when so much time has passed?
bool renews(std::chrono::seconds life, std::chrono::seconds spare, std::chrono::seconds after) {
  fixture f(life, spare);
  f.get();
  f.passed += after.count();
  asio::io_context loop{1};
  asio::co_spawn(loop.get_executor(), f.cache->keep_fresh(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  loop.poll();
  f.cache->stop();
  loop.run();
  return f.source->fetched == 2;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(credential_cache_, fixture)

BOOST_AUTO_TEST_CASE(valid_credentials_are_served_without_a_fetch) {
  BOOST_TEST(!cache->current());
  BOOST_TEST(get() == "KEY1");
  passed = 999;
  BOOST_TEST(get() == "KEY1");
  BOOST_TEST(cache->current()->keys.access_key == "KEY1");
  BOOST_TEST(source->fetched == 1);
}

BOOST_AUTO_TEST_CASE(expired_credentials_are_never_served) {
  BOOST_TEST(get() == "KEY1");
  passed = 1000; // to the second
  BOOST_TEST(!cache->current());
  source->broken = true;
  BOOST_TEST(get().find("the source is broken") != std::string::npos);
  BOOST_TEST(renew("KEY1").find("the source is broken") != std::string::npos);
  source->broken = false;
  BOOST_TEST(get() == "KEY4");
}

BOOST_AUTO_TEST_CASE(credentials_that_arrive_expired_are_rejected) {
  for (const auto life : {0s, -1s, -3600s}) {
    source->life = life;
    const auto got = run_task(cache->get());
    BOOST_TEST_REQUIRE(!got.has_value());
    BOOST_TEST((got.error().code == errc::unavailable));
    BOOST_TEST(got.error().on.find("a test") != std::string::npos, got.error().on);
    BOOST_TEST(got.error().on.find("clock") != std::string::npos, got.error().on);
    BOOST_TEST(!cache->current());
  }
}

BOOST_AUTO_TEST_CASE(fifty_concurrent_calls_share_one_fetch) {
  source->delay = 20ms;
  const auto outcomes = at_once(50, [&] { return cache->get(); });
  BOOST_TEST(outcomes == std::vector<std::string>(50, "KEY1"), boost::test_tools::per_element());
  BOOST_TEST(source->fetched == 1);
}

BOOST_AUTO_TEST_CASE(a_failed_fetch_answers_all_waiting_calls_and_the_next_call_fetches_again) {
  source->delay = 20ms;
  source->broken = true;
  const auto outcomes = at_once(50, [&] { return cache->get(); });
  BOOST_TEST(outcomes == std::vector<std::string>(50, "unavailable"), boost::test_tools::per_element());
  BOOST_TEST(source->fetched == 1);
  source->broken = false;
  BOOST_TEST(get() == "KEY2");
}

BOOST_AUTO_TEST_CASE(calls_on_several_threads_share_one_fetch) {
  constexpr int threads = 4, rounds = 400;
  std::vector<std::unique_ptr<fixture>> all;
  for (int n = 0; n < rounds; ++n) all.push_back(std::make_unique<fixture>());
  std::atomic<int> wrong{0};
  std::barrier together(threads);
  const auto round = [&](fixture& f) -> task<> {
    auto got = co_await f.cache->get();
    if (!got || (*got)->keys.access_key != "KEY1") ++wrong;
    // The server rejects the key in all calls at the same time.
    together.arrive_and_wait();
    auto renewed = co_await f.cache->renew("KEY1");
    if (!renewed || (*renewed)->keys.access_key != "KEY2") ++wrong;
  };
  std::vector<std::thread> running;
  for (int t = 0; t < threads; ++t)
    running.emplace_back([&] {
      for (auto& f : all) {
        together.arrive_and_wait();
        run_task(round(*f));
      }
    });
  for (auto& t : running) t.join();
  BOOST_TEST(wrong == 0);
  BOOST_TEST(std::count_if(all.begin(), all.end(), [](auto& f) { return f->source->fetched != 2; }) == 0);
}

BOOST_AUTO_TEST_CASE(rejected_calls_share_one_renewal) {
  BOOST_TEST(get() == "KEY1");
  source->delay = 20ms;
  const auto outcomes = at_once(50, [&] { return cache->renew("KEY1"); });
  BOOST_TEST(outcomes == std::vector<std::string>(50, "KEY2"), boost::test_tools::per_element());
  BOOST_TEST(source->fetched == 2);
  BOOST_TEST(renew("KEY1") == "KEY2"); // a late call gets the cached credentials
  BOOST_TEST(source->fetched == 2);
  BOOST_TEST(renew("KEY2") == "KEY3");
  source->broken = true;
  BOOST_TEST(renew("KEY3").find("the source is broken") != std::string::npos);
  BOOST_TEST(get() == "KEY3"); // other calls still get these credentials
}

BOOST_AUTO_TEST_CASE(a_call_gives_up_at_its_deadline_and_the_fetch_goes_on_for_the_others) {
  source->delay = 600ms;
  std::vector<std::string> outcomes;
  const auto call = [&](std::chrono::milliseconds max) -> task<> {
    const auto by = std::chrono::steady_clock::now() + max;
    auto got = co_await cache->get(by);
    outcomes.push_back(got ? (*got)->keys.access_key : got.error().on);
  };
  const auto all = [&]() -> task<> {
    group g((co_await asio::this_coro::executor));
    g.start(call(20ms)); // it begins the fetch
    g.start(call(40ms));
    g.start(call(60s));
    BOOST_TEST(co_await g.wait(60s));
  };
  run_task(all());
  const std::string late = "fetching credentials takes too long";
  BOOST_TEST(outcomes == (std::vector<std::string>{late, late, "KEY1"}), boost::test_tools::per_element());
  BOOST_TEST(source->fetched == 1);
  BOOST_TEST(get() == "KEY1");
}

BOOST_AUTO_TEST_CASE(a_fetch_that_ends_with_its_loop_does_not_block_the_next) {
  source->delay = 10min;
  asio::io_context waiting{1};
  std::string outcome;
  const auto wait = [&]() -> task<> {
    auto got = co_await cache->get();
    outcome = got ? "?" : std::string(text_of(got.error().code).name);
  };
  group g(waiting.get_executor());
  {
    asio::io_context fetching{1};
    asio::co_spawn(fetching.get_executor(), cache->get(), [](std::exception_ptr, result<credentials_ptr>) {});
    fetching.poll();
    BOOST_TEST(source->fetched == 1);
    g.start(wait());
    waiting.poll();
  }
  waiting.restart();
  waiting.run();
  BOOST_TEST(outcome == "cancelled");
  source->delay = 0ms;
  BOOST_TEST(get() == "KEY2");
}

// --- keep_fresh -------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(credentials_are_renewed_early_with_jitter) {
  // Of 1000 s the last 100 are spare: between 0.8 and 1.0 of the 900 before.
  int renewed = 0;
  for (int n = 0; n < 200; ++n) {
    renewed += renews(1000s, 100s, 810s);
    if (n % 20) continue;
    BOOST_TEST(!renews(1000s, 100s, 719s));
    BOOST_TEST(renews(1000s, 100s, 900s));
  }
  BOOST_TEST(renewed > 0);
  BOOST_TEST(renewed < 200);
  // If the life is shorter than that: half of the life.
  for (int n = 0; n < 10; ++n) {
    BOOST_TEST(!renews(1000s, 1200s, 399s));
    BOOST_TEST(renews(1000s, 1200s, 500s));
  }
  BOOST_TEST(renews(1000s, 100s, 2000s)); // ended long ago
}

BOOST_AUTO_TEST_CASE(permanent_credentials_are_not_renewed) {
  fixture f(std::nullopt);
  f.get();
  f.passed = 1'000'000'000;
  asio::io_context loop{1};
  asio::co_spawn(loop.get_executor(), f.cache->keep_fresh(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  loop.poll();
  BOOST_TEST(f.source->fetched == 1);
  BOOST_TEST(f.get() == "KEY1");
  f.cache->stop();
  loop.run(); // ends, because stop ends keep_fresh
}

BOOST_AUTO_TEST_CASE(old_credentials_serve_until_they_expire_when_a_renewal_fails) {
  const captured_log log_lines;
  get();
  source->broken = true;
  passed = 950;
  asio::io_context loop{1};
  bool ended = false;
  asio::co_spawn(loop.get_executor(), cache->keep_fresh(), [&](std::exception_ptr e) { ended = !e; });
  loop.poll();
  BOOST_TEST(source->fetched == 2); // and failed
  BOOST_TEST(get() == "KEY1");
  passed = 999;
  BOOST_TEST(get() == "KEY1");
  BOOST_TEST(source->fetched == 2); // get() does not fetch
  BOOST_TEST(log_lines.text().find("still_valid_until=20") != std::string::npos);
  source->broken = false;
  while (source->fetched < 3 && loop.run_one_for(10s) > 0) { // a second later
  }
  BOOST_TEST_REQUIRE(source->fetched == 3);
  loop.poll();
  BOOST_TEST(get() == "KEY3");
  BOOST_TEST(!ended);
  cache->stop();
  loop.run();
  BOOST_TEST(ended);
}

BOOST_AUTO_TEST_CASE(keep_fresh_fetches_the_first_credentials) {
  asio::io_context loop{1};
  asio::co_spawn(loop.get_executor(), cache->keep_fresh(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  loop.poll();
  BOOST_TEST(cache->current()->keys.access_key == "KEY1");
  BOOST_TEST(source->fetched == 1);
  cache->stop();
  loop.run();
}

BOOST_AUTO_TEST_CASE(stop_ends_keep_fresh_while_it_waits_or_fetches) {
  for (const auto delay : {0ms, 50ms}) {
    fixture f;
    f.source->delay = delay;
    asio::io_context loop{1};
    bool ended = false;
    asio::co_spawn(loop.get_executor(), f.cache->keep_fresh(), [&](std::exception_ptr e) { ended = !e; });
    loop.poll();
    BOOST_TEST(!ended);
    f.cache->stop();
    loop.run();
    BOOST_TEST(ended);
    BOOST_TEST(f.source->fetched == 1);
  }
  cache->stop(); // before keep_fresh began
  asio::io_context loop{1};
  asio::co_spawn(loop.get_executor(), cache->keep_fresh(), [](std::exception_ptr e) { BOOST_TEST(!e); });
  loop.run();
  BOOST_TEST(source->fetched == 0);
}

BOOST_AUTO_TEST_SUITE_END()
