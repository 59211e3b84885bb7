#include "support/run_task.hpp"
#include <postern/io/shared/shared_call.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

// Work that takes a moment and counts how often it ran.
struct slow_work {
  std::atomic<int> runs{0};
  shared_call<int>::work begin = [this]() -> task<result<int>> {
    const int n = ++runs;
    timer end(co_await asio::this_coro::executor, 20ms);
    co_await end.async_wait(use_task);
    co_return n;
  };
};

task<> join_at_once(shared_call<int>& call, const shared_call<int>::work& begin, int callers,
                    std::vector<result<int>>& answers) {
  group joining(co_await asio::this_coro::executor);
  const auto one = [&]() -> task<> { answers.push_back(co_await call.join(begin)); };
  for (int n = 0; n < callers; ++n) joining.start(one());
  co_await joining.wait(10s);
}

} // namespace

BOOST_AUTO_TEST_CASE(callers_share_the_work_that_runs) {
  shared_call<int> call;
  slow_work work;
  std::vector<result<int>> answers;
  test::run_task(join_at_once(call, work.begin, 100, answers));
  BOOST_TEST(work.runs == 1);
  BOOST_REQUIRE(answers.size() == 100u);
  for (const auto& a : answers) BOOST_TEST(a.value() == 1);
}

BOOST_AUTO_TEST_CASE(a_later_caller_starts_the_work_anew) {
  shared_call<int> call;
  slow_work work;
  BOOST_TEST(test::run_task(call.join(work.begin)).value() == 1);
  BOOST_TEST(test::run_task(call.join(work.begin)).value() == 2);
}

BOOST_AUTO_TEST_CASE(work_that_throws_is_answered) {
  shared_call<int> call;
  const shared_call<int>::work broken = []() -> task<result<int>> {
    throw std::runtime_error("broken");
    co_return 0;
  };
  BOOST_TEST((test::run_task(call.join(broken)).error().code == errc::internal));
  slow_work work;
  BOOST_TEST(test::run_task(call.join(work.begin)).value() == 1);
}

BOOST_AUTO_TEST_CASE(work_is_refused_only_when_none_runs) {
  shared_call<int> call;
  slow_work work;
  int asked = 0;
  const auto refuse_all = [&]() -> std::optional<result<int>> {
    ++asked;
    return failure{errc::too_many_requests, "later"};
  };
  BOOST_TEST((test::run_task(call.join_unless(refuse_all, work.begin)).error().code == errc::too_many_requests));
  BOOST_TEST(asked == 1);
  const auto join_what_runs = [&]() -> task<> {
    group joining(co_await asio::this_coro::executor);
    int answered = 0;
    const auto first = [&]() -> task<> { answered += (co_await call.join(work.begin)).has_value(); };
    const auto second = [&]() -> task<> {
      answered += (co_await call.join_unless(refuse_all, work.begin)).has_value();
    };
    joining.start(first());
    joining.start(second());
    co_await joining.wait(10s);
    BOOST_TEST(answered == 2);
  };
  test::run_task(join_what_runs());
  BOOST_TEST(asked == 1);
  BOOST_TEST(work.runs == 1);
}

BOOST_AUTO_TEST_CASE(threads_share_the_work) {
  shared_call<int> call;
  slow_work work;
  std::vector<std::thread> threads;
  std::atomic<int> answered{0};
  for (int n = 0; n < 8; ++n)
    threads.emplace_back([&] {
      std::vector<result<int>> answers;
      for (int round = 0; round < 20; ++round) {
        answers.clear();
        test::run_task(join_at_once(call, work.begin, 5, answers));
        for (const auto& a : answers) answered += a.has_value();
      }
    });
  for (auto& t : threads) t.join();
  BOOST_TEST(answered == 8 * 20 * 5);
  BOOST_TEST(work.runs < 8 * 20 * 5);
}
