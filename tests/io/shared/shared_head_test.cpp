#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/io/shared/shared_head.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;

namespace {

// A store whose answer takes a while, and in which each question changes the object.
struct slow_store final : store {
  std::atomic<int> heads{0}, running{0}, most{0};
  std::chrono::milliseconds takes = 10ms;
  std::atomic<bool> is_broken{false};

  task<result<stored_object>> head(object_name) override {
    const auto n = ++heads;
    most = std::max<int>(most, ++running);
    timer answer(co_await asio::this_coro::executor, takes);
    co_await answer.async_wait(use_task);
    --running;
    if (is_broken) co_return failure{errc::unavailable, "probe"};
    stored_object o;
    o.size = static_cast<std::uint64_t>(n);
    co_return o;
  }
  task<result<std::unique_ptr<sink>>> open(object_name, object_meta, std::optional<expected_size>,
                                           allowance*) override {
    co_return failure(errc::internal, "not asked");
  }
  std::uint64_t max_memory() const override { return 0; }
  std::size_t stores = 1;
  std::size_t count() const override { return stores; }
  store& for_bucket(const std::string& bucket) override { return bucket == "other" ? *other : *this; }
  store* other = this;
  task<result<std::vector<std::string>>> list(std::string, std::string, std::size_t) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<std::string>> read_some(object_name, std::string, std::uint64_t, std::size_t) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<stored_object>> copy(object_name, std::string, object_name) override {
    co_return failure(errc::internal, "not asked");
  }
  task<result<void>> remove(object_name) override { co_return failure(errc::internal, "not asked"); }
  task<result<void>> remove_if_match(object_name, std::string) override {
    co_return failure(errc::internal, "not asked");
  }
};

// Asks `calls` times at once, and answers which questions were the answers.
task<> ask_at_once(shared_head& heads, std::string key, int calls, std::vector<std::uint64_t>& answers,
                   std::string client = {}) {
  group asking(co_await asio::this_coro::executor);
  const auto one = [&]() -> task<> {
    object_name name{"media", key};
    auto found = co_await heads.ask(std::move(name), client);
    answers.push_back(found ? found->size : 0);
  };
  for (int n = 0; n < calls; ++n) asking.start(one());
  co_await asking.wait(10s);
}

} // namespace

BOOST_AUTO_TEST_CASE(calls_for_one_object_share_a_question) {
  slow_store store;
  shared_head heads(store);
  std::vector<std::uint64_t> answers;
  test::run_task(ask_at_once(heads, "a", 100, answers));
  std::vector<std::uint64_t> expected(100, 2);
  expected.front() = 1; // the first call does not wait for others
  BOOST_TEST(answers == expected, boost::test_tools::per_element());
  BOOST_TEST(store.heads == 2);
  answers.clear();
  test::run_task(ask_at_once(heads, "b", 1, answers)); // another object does not wait
  BOOST_TEST(store.heads == 3);
}

// A question that was asked before a call came must not answer it: the object may have arrived in between.
BOOST_AUTO_TEST_CASE(no_answer_is_older_than_the_call) {
  slow_store store;
  shared_head heads(store);
  std::vector<std::uint64_t> answers;
  const auto twice = [&]() -> task<> {
    group asking(co_await asio::this_coro::executor);
    asking.start(ask_at_once(heads, "a", 1, answers));
    while (store.heads == 0) {
      timer moment(co_await asio::this_coro::executor, 1ms);
      co_await moment.async_wait(use_task);
    }
    asking.start(ask_at_once(heads, "a", 2, answers)); // while the first question is being answered
    co_await asking.wait(10s);
  };
  test::run_task(twice());
  BOOST_TEST((answers == std::vector<std::uint64_t>{1, 2, 2}));
}

BOOST_AUTO_TEST_CASE(questions_about_many_objects_leave_connections_for_uploads) {
  slow_store store;
  shared_head heads(store);
  std::vector<std::uint64_t> answers;
  const auto about_many = [&]() -> task<> {
    group asking(co_await asio::this_coro::executor);
    for (int n = 0; n < 200; ++n) asking.start(ask_at_once(heads, std::to_string(n), 1, answers));
    co_await asking.wait(10s);
  };
  test::run_task(about_many());
  BOOST_TEST(std::count(answers.begin(), answers.end(), 0u) == 0);
  BOOST_TEST(store.most == static_cast<int>(shared_head::max_at_once));
  answers.clear();
  store.takes = 2s; // longer than a question waits for its place
  test::run_task(about_many());
  BOOST_TEST(std::count(answers.begin(), answers.end(), 0u) == 200 - static_cast<int>(shared_head::max_at_once));
  BOOST_TEST(store.most == static_cast<int>(shared_head::max_at_once));
}

BOOST_AUTO_TEST_CASE(one_store_of_several_leaves_places_for_the_others) {
  slow_store store, other;
  store.other = &other;
  store.stores = 2;
  store.takes = 2s;
  shared_head heads(store);
  std::vector<std::uint64_t> answers;
  const auto about_other = [&]() -> task<> {
    const auto found = co_await heads.ask({"other", "a"});
    answers.push_back(found ? 1 : 0);
  };
  const auto about_many = [&]() -> task<> {
    group asking(co_await asio::this_coro::executor);
    std::vector<std::uint64_t> ignored;
    for (int n = 0; n < 100; ++n) asking.start(ask_at_once(heads, std::to_string(n), 1, ignored));
    asking.start(about_other());
    co_await asking.wait(10s);
  };
  test::run_task(about_many());
  BOOST_TEST((answers == std::vector<std::uint64_t>{1}));
  BOOST_TEST(store.most == static_cast<int>(shared_head::max_of_store) + 1);
}

BOOST_AUTO_TEST_CASE(one_client_leaves_places_for_others) {
  slow_store store;
  store.takes = 2s;
  shared_head heads(store);
  std::vector<std::uint64_t> greedy, modest;
  const auto about_many = [&]() -> task<> {
    group asking(co_await asio::this_coro::executor);
    for (int n = 0; n < 100; ++n) asking.start(ask_at_once(heads, std::to_string(n), 1, greedy, "192.0.2.1"));
    for (int n = 0; n < 10; ++n) asking.start(ask_at_once(heads, "m" + std::to_string(n), 1, modest, "192.0.2.2"));
    co_await asking.wait(10s);
  };
  test::run_task(about_many());
  const auto of_client = static_cast<int>(shared_head::max_of_client);
  BOOST_TEST(std::count(greedy.begin(), greedy.end(), 0u) == 100 - of_client);
  BOOST_TEST(std::count(modest.begin(), modest.end(), 0u) == 0);
  BOOST_TEST(store.most == of_client + 10);
  greedy.clear();
  test::run_task(ask_at_once(heads, "again", 1, greedy, "192.0.2.1")); // its places are free again
  BOOST_TEST(std::count(greedy.begin(), greedy.end(), 0u) == 0);
}

BOOST_AUTO_TEST_CASE(a_store_is_asked_about_one_object_ten_times_a_second_at_most) {
  slow_store store;
  shared_head heads(store);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> callers;
  std::atomic<int> answered{0};
  for (int n = 0; n < 3; ++n)
    callers.emplace_back([&] {
      std::vector<std::uint64_t> answers;
      for (int i = 0; i < 5; ++i) test::run_task(ask_at_once(heads, "a", 10, answers));
      answered += static_cast<int>(answers.size());
    });
  for (auto& c : callers) c.join();
  const auto tenths = (std::chrono::steady_clock::now() - begin) / shared_head::pause;
  BOOST_TEST(answered == 150);
  BOOST_TEST(store.heads >= 5); // each caller needs an answer newer than its last one
  BOOST_TEST(store.heads <= tenths + 1);
}

BOOST_AUTO_TEST_CASE(a_failure_is_everybodys_and_is_not_remembered) {
  slow_store store;
  shared_head heads(store);
  store.is_broken = true;
  std::vector<std::uint64_t> answers;
  test::run_task(ask_at_once(heads, "a", 2, answers));
  BOOST_TEST((answers == std::vector<std::uint64_t>{0, 0}));
  store.is_broken = false;
  test::run_task(ask_at_once(heads, "a", 1, answers));
  BOOST_TEST(answers.back() == 3u);
}
