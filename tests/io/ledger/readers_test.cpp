#include "support/run_task.hpp"
#include "support/wait_until.hpp"
#include <postern/io/ledger/readers.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

// The steps of a read. Each step fails as many times as the test says.
struct fake_server {
  std::atomic<int> failing_connects{0}, failing_begins{0}, failing_reads{0}, failing_commits{0};
  std::atomic<int> connects{0}, reads{0}, roll_backs{0};
  std::atomic<bool> away{false};
  transaction_failure kind = transaction_failure::unavailable;

  void step(std::atomic<int>& failing, const char* name) {
    if (away) throw transaction_error(transaction_failure::unavailable, "away");
    if (failing > 0) {
      --failing;
      throw transaction_error(kind, name);
    }
  }
};

struct fake_connection final : sql::database {
  explicit fake_connection(fake_server& s) : server(s) {
    ++server.connects;
    server.step(server.failing_connects, "connect");
  }
  void begin(bool) override { server.step(server.failing_begins, "begin"); }
  void commit() override { server.step(server.failing_commits, "commit"); }
  void roll_back() noexcept override { ++server.roll_backs; }
  const sql::dialect& get_dialect() const override { std::abort(); }
  void execute(const char*) override {
    server.step(server.failing_reads, "read");
    ++server.reads;
  }
  std::unique_ptr<sql::statement> prepare(std::string) override { std::abort(); }
  std::int64_t schema_version() override { std::abort(); }
  void begin_alone() override { std::abort(); }
  void set_schema_version(std::int64_t) override { std::abort(); }
  fake_server& server;
};

struct fixture {
  fake_server server;
  std::optional<readers> pool;
  void start(readers_options o = {.connections = 1, .first_pause = 5ms, .max_pause = 10ms}) {
    pool.emplace([this] { return std::make_unique<fake_connection>(server); }, o);
  }
  result<int> read() {
    const std::function<result<int>(sql::database&)> work = [](sql::database& db) {
      db.execute("");
      return result<int>(1);
    };
    return run_task(pool->read<int>(work));
  }
  // Occupies one connection until the promise is fulfilled.
  std::thread block(std::promise<void>& inside, std::future<void>& go) {
    return std::thread([&] {
      const std::function<result<int>(sql::database&)> work = [&](sql::database&) {
        inside.set_value();
        go.wait();
        return result<int>(2);
      };
      // Boost.Test is used by the main thread only; an exception here ends the program.
      if (run_task(pool->read<int>(work)).value() != 2) throw std::logic_error("the read has another result");
    });
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(readers_, fixture)

BOOST_AUTO_TEST_CASE(a_connection_is_made_for_the_first_read_and_used_again) {
  start();
  BOOST_TEST(server.connects == 0);
  for (int n = 0; n < 3; ++n) BOOST_TEST(read().value() == 1);
  BOOST_TEST(server.connects == 1);
}

BOOST_AUTO_TEST_CASE(one_failure_at_any_step_is_retried_without_the_caller_noticing) {
  start();
  for (auto* failing :
       {&server.failing_connects, &server.failing_begins, &server.failing_reads, &server.failing_commits}) {
    *failing = 1;
    BOOST_TEST(read().value() == 1);
    BOOST_TEST(*failing == 0);
  }
}

BOOST_AUTO_TEST_CASE(two_failures_at_any_step_make_the_read_unavailable_and_the_next_one_good) {
  start();
  for (auto* failing :
       {&server.failing_connects, &server.failing_begins, &server.failing_reads, &server.failing_commits}) {
    *failing = 2;
    const auto refused = read();
    BOOST_TEST((!refused && refused.error().code == errc::unavailable));
    BOOST_TEST(wait_until([&] { return read().has_value(); }));
    BOOST_TEST(*failing == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_rejected_read_and_a_broken_database_fail_that_read_alone) {
  start();
  for (const auto kind : {transaction_failure::rejected, transaction_failure::broken}) {
    server.kind = kind;
    server.failing_reads = 1;
    const auto failed = read();
    BOOST_TEST((!failed && failed.error().code == errc::ledger_failed && failed.error().on == "read"));
    BOOST_TEST(read().value() == 1); // answered at once
  }
  BOOST_TEST(server.connects == 1);
  BOOST_TEST(server.roll_backs == 2);
}

BOOST_AUTO_TEST_CASE(an_exception_is_a_failure_of_its_read) {
  start();
  const std::function<result<int>(sql::database&)> work = [](sql::database&) -> result<int> {
    throw std::logic_error("a bug");
  };
  const auto failed = run_task(pool->read<int>(work));
  BOOST_TEST((!failed && failed.error().code == errc::ledger_failed && failed.error().on == "a bug"));
  BOOST_TEST(read().value() == 1);
}

BOOST_AUTO_TEST_CASE(while_the_database_is_unavailable_one_thread_reconnects_and_reads_are_refused_at_once) {
  start({.connections = 3, .first_pause = 20ms, .max_pause = 20ms});
  server.away = true;
  BOOST_TEST((read().error().code == errc::unavailable));
  const auto connects = server.connects.load();
  for (int n = 0; n < 1000; ++n) BOOST_TEST((read().error().code == errc::unavailable));
  BOOST_TEST(server.connects < connects + 500); // a read does not connect
  server.away = false;
  BOOST_TEST(wait_until([&] { return read().has_value(); }));
}

BOOST_AUTO_TEST_CASE(queued_reads_are_refused_when_the_database_becomes_unavailable) {
  start();
  std::promise<void> inside, open;
  auto go = open.get_future();
  auto blocked = block(inside, go);
  inside.get_future().wait();
  std::vector<std::thread> waiting;
  std::atomic<int> refused{0};
  for (int n = 0; n < 5; ++n)
    waiting.emplace_back([&] {
      const auto answered = read();
      if (!answered && answered.error().code == errc::unavailable) ++refused;
    });
  std::this_thread::sleep_for(20ms);
  server.failing_begins = 2; // of the first read in the queue
  open.set_value();
  blocked.join();
  for (auto& t : waiting) t.join();
  BOOST_TEST(refused >= 1);
  BOOST_TEST(wait_until([&] { return read().has_value(); }));
}

BOOST_AUTO_TEST_CASE(a_full_queue_refuses_reads) {
  start({.connections = 1, .max_queue = 3});
  std::promise<void> inside, open;
  auto go = open.get_future();
  auto blocked = block(inside, go);
  inside.get_future().wait();
  std::vector<std::thread> waiting;
  std::atomic<int> good{0}, refused{0};
  for (int n = 0; n < 10; ++n)
    waiting.emplace_back([&] {
      const auto answered = read();
      if (answered) ++good;
      if (!answered && answered.error().code == errc::unavailable) ++refused;
    });
  BOOST_TEST(wait_until([&] { return refused >= 7; }));
  open.set_value();
  for (auto& t : waiting) t.join();
  blocked.join();
  BOOST_TEST(good == 3);
  BOOST_TEST(refused == 7);
}

BOOST_AUTO_TEST_CASE(a_slow_read_does_not_delay_reads_on_other_connections) {
  start({.connections = 2});
  std::promise<void> inside, open;
  auto go = open.get_future();
  auto blocked = block(inside, go);
  inside.get_future().wait();
  for (int n = 0; n < 100; ++n) BOOST_TEST(read().value() == 1);
  open.set_value();
  blocked.join();
}

BOOST_AUTO_TEST_CASE(the_destructor_does_not_wait_for_an_unavailable_database) {
  start({.connections = 2, .first_pause = 60s, .max_pause = 60s});
  server.away = true;
  BOOST_TEST(!read().has_value());
  const auto begin = std::chrono::steady_clock::now();
  pool.reset();
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 10s));
}

BOOST_AUTO_TEST_SUITE_END()
