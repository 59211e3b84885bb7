#include "support/notify_house.hpp"
#include <postern/base/metrics.hpp>
#include <postern/core/events/webhook.hpp>

#include <boost/test/unit_test.hpp>

#include <set>

using namespace postern;
using namespace std::chrono_literals;
using std::chrono::milliseconds;
using test::notifier_fixture, test::receiver, test::noon, test::key, test::older;

namespace {

const std::string here = "https://app.example.com/hooks?a=b";

} // namespace

BOOST_FIXTURE_TEST_CASE(a_message_is_sent_as_standard_webhooks_says, notifier_fixture) {
  auto& app = endpoint(here, {key, older});
  ledger.put("msg_1", here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.done.size() == 1; };
    co_await reached();
  };
  run(script);
  BOOST_REQUIRE(app.arrivals.size() == 1u);
  const auto& came = app.arrivals.front();
  BOOST_TEST(came.body == "{\"of\":\"msg_1\"}");
  BOOST_TEST(came.request.method == "POST");
  BOOST_TEST(came.request.to.origin() == "https://app.example.com");
  BOOST_TEST(came.request.target == "/hooks?a=b");
  BOOST_TEST(came.request.truncates_response);
  BOOST_TEST(came.field("content-type") == "application/json");
  BOOST_TEST(came.field("user-agent") == "Postern/test");
  BOOST_TEST(came.field("webhook-id") == "msg_1");
  BOOST_TEST(came.field("webhook-timestamp") == "1795457700");
  const auto second = std::chrono::floor<std::chrono::seconds>(noon);
  BOOST_TEST(came.field("webhook-signature") == webhook_signature(key, "msg_1", second, came.body) + " " +
                                                    webhook_signature(older, "msg_1", second, came.body));
}

BOOST_FIXTURE_TEST_CASE(every_success_is_2xx, notifier_fixture) {
  auto& app = endpoint(here);
  const std::vector<int> statuses{200, 201, 202, 204, 299};
  app.respond = [&](const auto& a) { return receiver::answer(std::stoi(a.field("webhook-id"))); };
  for (const auto s : statuses) ledger.put(std::to_string(s), here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.done.size() == 5; };
    co_await reached();
  };
  run(script);
  BOOST_TEST(ledger.rows.empty());
}

BOOST_FIXTURE_TEST_CASE(a_message_is_retried_with_growing_pauses_then_becomes_a_dead_letter, notifier_fixture) {
  auto& app = endpoint(here);
  app.respond = [](const auto&) { return receiver::answer(500, "no\r\n<b>"); };
  ledger.put("msg_1", here, now);
  std::size_t tries = 0;
  const auto script = [&](notifier&) -> task<> {
    for (;;) {
      ++tries;
      goal = [&] { return ledger.rows.at("msg_1").tries == tries; };
      co_await reached();
      const auto& row = ledger.rows.at("msg_1");
      BOOST_TEST(row.last_error == "answered 500: \"no\\x0d\\x0a<b>\"");
      const auto expected = webhook_pause(static_cast<unsigned>(tries), 0);
      BOOST_TEST(row.is_dead == !expected);
      if (row.is_dead || !expected) break;
      BOOST_TEST((row.due_at == now + *expected));
      now += *expected - 1ms;
      co_await poll_twice();
      BOOST_TEST(app.arrivals.size() == tries);
      now += 1ms;
    }
    now += 24h * 365;
    co_await poll_twice();
  };
  run(script);
  BOOST_TEST(tries == 10u);
  BOOST_TEST(app.arrivals.size() == tries);
  std::set<std::string> ids, timestamps;
  for (const auto& a : app.arrivals) ids.insert(a.field("webhook-id")), timestamps.insert(a.field("webhook-timestamp"));
  BOOST_TEST(ids.size() == 1u);
  BOOST_TEST(timestamps.size() == tries); // signed anew each time
}

BOOST_FIXTURE_TEST_CASE(the_age_of_a_message_counts_while_it_waits_for_its_next_try, notifier_fixture) {
  const auto age = [] {
    const auto all = metrics::print_all();
    const std::string name = "\npostern_webhook_oldest_due_seconds ";
    return std::stoi(all.substr(all.find(name) + name.size()));
  };
  auto& app = endpoint(here);
  app.respond = [](const auto&) { return receiver::answer(500); };
  ledger.put("msg_1", here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.rows.at("msg_1").tries == 1; };
    co_await reached();
    now += 4s; // the next try is a second later
    goal = [&] { return age() == 4; };
    co_await reached();
    app.respond = [](const auto&) { return receiver::answer(200); };
    now += 60s;
    goal = [&] { return ledger.done.size() == 1; };
    co_await reached();
    now += 60s;
    goal = [&] { return age() == 0; };
    co_await reached();
  };
  run(script);
}

BOOST_FIXTURE_TEST_CASE(random_jitter_moves_the_next_try, notifier_fixture) {
  auto& app = endpoint(here);
  app.respond = [](const auto&) { return receiver::answer(500); };
  options.random = [] { return 0.5; };
  ledger.put("msg_1", here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.rows.at("msg_1").tries == 1; };
    co_await reached();
  };
  run(script);
  BOOST_TEST((ledger.rows.at("msg_1").due_at == noon + 5500ms));
  BOOST_TEST(ledger.rows.at("msg_1").last_error == "answered 500");
}

BOOST_FIXTURE_TEST_CASE(retry_after_postpones_the_next_try, notifier_fixture) {
  auto& app = endpoint(here);
  const std::map<std::string, std::string> asked{
      {"a", "90"}, {"b", "Wed, 21 Oct 2015 07:28:00 GMT"}, {"c", "999999999"}, {"d", "1"}};
  app.respond = [&](const auto& a) {
    return receiver::answer(503, "", "retry-after", asked.at(a.field("webhook-id")));
  };
  for (const auto& [id, after] : asked) ledger.put(id, here, now);
  const auto tried = [&] {
    return std::all_of(ledger.rows.begin(), ledger.rows.end(), [](const auto& r) { return r.second.tries == 1; });
  };
  const auto script = [&](notifier&) -> task<> {
    goal = tried;
    co_await reached();
  };
  run(script);
  BOOST_TEST((ledger.rows.at("a").due_at == noon + 90s));
  BOOST_TEST((ledger.rows.at("b").due_at == noon + 5s));
  BOOST_TEST((ledger.rows.at("c").due_at == noon + 24h));
  BOOST_TEST((ledger.rows.at("d").due_at == noon + 5s));
}

BOOST_FIXTURE_TEST_CASE(the_recorded_error_is_truncated, notifier_fixture) {
  auto& app = endpoint(here);
  app.respond = [](const auto& a) -> result<http_response> {
    const auto id = a.field("webhook-id");
    if (id == "moved") return receiver::answer(302, "", "location", "http://169.254.169.254/latest");
    if (id == "broke") return failure(errc::disconnected, "https://app.example.com: no answer");
    if (id == "late") return failure(errc::timed_out, "connecting to https://app.example.com");
    return receiver::answer(400, std::string(5000, 'x'));
  };
  for (const char* id : {"moved", "broke", "late", "long"}) ledger.put(id, here, now);
  const auto tried = [&] {
    return std::all_of(ledger.rows.begin(), ledger.rows.end(), [](const auto& r) { return r.second.tries == 1; });
  };
  const auto script = [&](notifier&) -> task<> {
    goal = tried;
    co_await reached();
  };
  run(script);
  BOOST_TEST(ledger.rows.at("moved").last_error ==
             "answered 302 to \"http://169.254.169.254/latest\": redirects are not followed");
  BOOST_TEST(ledger.rows.at("broke").last_error == "https://app.example.com: no answer");
  BOOST_TEST(ledger.rows.at("late").last_error == "connecting to https://app.example.com (timed out)");
  BOOST_TEST(ledger.rows.at("long").last_error.starts_with("answered 400: \"xxxx"));
  BOOST_TEST(ledger.rows.at("long").last_error.size() < 160u);
}

BOOST_FIXTURE_TEST_CASE(status_410_stops_the_endpoint, notifier_fixture) {
  auto& app = endpoint(here);
  auto& other = endpoint("https://other.example.com/");
  app.respond = [](const auto&) { return receiver::answer(410); };
  for (int i = 0; i < 50; ++i) ledger.put("msg_" + std::to_string(100 + i), here, now);
  ledger.put("msg_other", "https://other.example.com/", now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return !ledger.stopped.empty() && ledger.done.size() == 1; };
    co_await reached();
    goal = [&] { return app.now == 0; };
    co_await reached();
    co_await poll_twice();
  };
  run(script);
  BOOST_TEST(ledger.stopped.front() == here);
  BOOST_TEST(app.arrivals.size() <= options.max_in_flight); // the tries in flight at the stop
  BOOST_TEST(other.arrivals.size() == 1u);
  for (const auto& [id, w] : ledger.rows) BOOST_TEST((w.is_dead && w.last_error == "answered 410"));
}

BOOST_FIXTURE_TEST_CASE(a_slow_endpoint_does_not_delay_others, notifier_fixture) {
  auto& slow = endpoint(here);
  auto& quick = endpoint("https://quick.example.com/");
  slow.hangs = true;
  options.try_timeout = 200ms;
  // The messages that are due longest are all the slow endpoint's, and more than a batch or a queue holds.
  for (int i = 0; i < 1000; ++i) ledger.put("slow_" + std::to_string(1000 + i), here, now - 1h);
  for (int i = 0; i < 20; ++i) ledger.put("quick_" + std::to_string(100 + i), "https://quick.example.com/", now - 1min);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.done.size() == 20; };
    co_await reached();
  };
  run(script);
  BOOST_TEST(quick.arrivals.size() == 20u);
  BOOST_TEST(slow.max_at_once <= options.max_in_flight);
  BOOST_TEST(quick.max_at_once <= options.max_in_flight);
}

// While an endpoint gives no answer, its messages wait untouched in the ledger: what changes there does not depend on
// how many wait, or for how long.
BOOST_FIXTURE_TEST_CASE(a_silent_endpoint_costs_the_ledger_nothing_while_it_is_paused, notifier_fixture) {
  auto& app = endpoint(here);
  bool is_silent = true;
  app.respond = [&](const auto&) -> result<http_response> {
    if (is_silent) return failure(errc::disconnected, "no answer");
    return receiver::answer(200);
  };
  constexpr std::size_t count = 500;
  for (std::size_t i = 0; i < count; ++i) ledger.put("msg_" + std::to_string(1000 + i), here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return app.arrivals.size() >= options.max_in_flight && app.now == 0; };
    co_await reached();
    co_await test::pause(50ms);                                  // many polls
    BOOST_TEST(app.arrivals.size() < 2 * options.max_in_flight); // some began before the last of four had failed
    const auto before = ledger.changes;
    BOOST_TEST(before <= options.batch * 2 + 2 * options.max_in_flight);
    // An hour of silence: one message is tried after each pause.
    auto tries = app.arrivals.size();
    milliseconds length = options.first_pause, passed = 0ms;
    std::size_t pauses = 0;
    for (; passed < 1h; passed += length, length = std::min(2 * length, options.max_pause), ++pauses) {
      now += length - 1ms;
      co_await test::pause(5ms);
      BOOST_TEST(app.arrivals.size() == tries); // not before the pause has ended
      now += 1ms;
      goal = [&] { return app.arrivals.size() == tries + 1 && app.now == 0; };
      co_await reached();
      co_await test::pause(5ms);
      ++tries;
    }
    BOOST_TEST(pauses >= 15u);
    BOOST_TEST(ledger.changes - before == 2 * pauses); // the lease and the failure of the message that was tried
    is_silent = false;
    now += options.max_pause;
    goal = [&] { return ledger.done.size() >= count - options.batch * 2 - tries; };
    co_await reached();
    now += 24h; // after the leases and the pauses of all messages
    goal = [&] { return ledger.done.size() == count; };
    co_await reached();
  };
  run(script);
}

BOOST_FIXTURE_TEST_CASE(a_clock_that_jumps_forward_sends_no_message_twice, notifier_fixture) {
  auto& app = endpoint(here);
  for (int i = 0; i < 6; ++i) ledger.put("msg_" + std::to_string(i), here, now); // four in flight, two wait
  bool is_held = true;
  options.endpoints.back().send = [&](const http_request& q, std::string_view body) -> task<result<http_response>> {
    app.arrivals.push_back({now, q, std::string(body)});
    while (is_held) co_await test::pause(1ms);
    co_return receiver::answer(200);
  };
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return app.arrivals.size() == options.max_in_flight; };
    co_await reached();
    now += 24h; // all leases have ended
    co_await poll_twice();
    is_held = false;
    goal = [&] { return ledger.rows.empty(); };
    co_await reached();
    co_await poll_twice();
  };
  run(script);
  BOOST_TEST(app.arrivals.size() == 6u);
}

BOOST_FIXTURE_TEST_CASE(a_clock_that_jumps_back_ends_a_pause, notifier_fixture) {
  auto& app = endpoint(here);
  app.respond = [](const auto&) -> result<http_response> { return failure(errc::disconnected, "no answer"); };
  now += 24h;
  for (std::size_t i = 0; i < options.max_in_flight; ++i) ledger.put("msg_" + std::to_string(i), here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return app.arrivals.size() == options.max_in_flight && app.now == 0; };
    co_await reached();
    co_await test::pause(20ms); // paused now
    BOOST_TEST(app.arrivals.size() == options.max_in_flight);
    app.respond = [](const auto&) { return receiver::answer(200); };
    now -= 24h;
    ledger.put("msg_new", here, now);
    goal = [&] { return app.arrivals.size() > options.max_in_flight; };
    co_await reached();
    BOOST_TEST(app.arrivals.back().field("webhook-id") == "msg_new");
  };
  run(script);
}

BOOST_FIXTURE_TEST_CASE(messages_to_an_endpoint_that_stays_silent_become_dead_letters, notifier_fixture) {
  auto& app = endpoint(here);
  app.respond = [](const auto&) -> result<http_response> { return failure(errc::disconnected, "no answer"); };
  options.max_in_flight = 1;
  for (int i = 0; i < 10; ++i) ledger.put("msg_" + std::to_string(i), here, now);
  ledger.put("msg_new", here, now + 1h);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.rows.at("msg_0").tries == 1; };
    co_await reached();
    now += options.max_silence + 2min; // the leases of the others ended a minute after the first try
    goal = [&] { return app.arrivals.size() == 2 && app.now == 0 && ledger.rows.at("msg_9").is_dead; };
    co_await reached();
  };
  run(script);
  BOOST_TEST(ledger.rows.at("msg_9").last_error == "the endpoint gave no answer for too long");
  BOOST_TEST(!ledger.rows.at("msg_new").is_dead);
}

BOOST_FIXTURE_TEST_CASE(a_try_has_a_timeout, notifier_fixture) {
  auto& app = endpoint(here);
  app.hangs = true;
  options.try_timeout = 20ms;
  ledger.put("msg_1", here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.rows.at("msg_1").tries == 1; };
    co_await reached();
  };
  run(script);
  BOOST_TEST(ledger.rows.at("msg_1").last_error == "no answer within 0 s (timed out)");
  BOOST_TEST(app.now == 0u);
}

BOOST_FIXTURE_TEST_CASE(many_are_delivered_each_once, notifier_fixture) {
  auto& app = endpoint(here);
  for (int i = 0; i < 1000; ++i) ledger.put("msg_" + std::to_string(1000 + i), here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.done.size() == 1000; };
    co_await reached();
  };
  run(script);
  std::set<std::string> ids;
  for (const auto& a : app.arrivals) ids.insert(a.field("webhook-id"));
  BOOST_TEST(app.arrivals.size() == 1000u);
  BOOST_TEST(ids.size() == 1000u);
}

// A message whose lease has nearly ended in the queue could be another node's before a try ends.
BOOST_FIXTURE_TEST_CASE(no_try_begins_that_could_outlast_its_lease, notifier_fixture) {
  auto& app = endpoint(here);
  BOOST_TEST((options.lease > 2 * options.try_timeout));
  bool let_go = false;
  options.max_in_flight = 1;
  app.respond = [](const auto&) { return receiver::answer(200); };
  for (const char* id : {"a", "b", "c"}) ledger.put(id, here, now);
  auto plain = options.endpoints.front().send;
  options.endpoints.front().send = [&](const http_request& q, std::string_view body) -> task<result<http_response>> {
    goal = [&] { return let_go; };
    co_await reached();
    auto sent = plain(q, body);
    co_return co_await std::move(sent);
  };
  const auto script = [&](notifier&) -> task<> {
    co_await poll_twice();
    now += options.lease - options.try_timeout; // b and c are queued
    let_go = true;
    goal = [&] { return ledger.done.size() == 1; };
    co_await reached();
    co_await poll_twice();
    BOOST_TEST(app.arrivals.size() == 1u);
    now += options.try_timeout; // the lease has ended
    goal = [&] { return ledger.done.size() == 3; };
    co_await reached();
  };
  run(script);
  BOOST_TEST(app.arrivals.size() == 3u);
}

BOOST_FIXTURE_TEST_CASE(a_broken_ledger_is_asked_again, notifier_fixture) {
  auto& app = endpoint(here);
  ledger.put("msg_1", here, now);
  app.respond = [&](const auto&) {
    ledger.broken = failure(errc::unavailable, "stopped"); // the delivery cannot be recorded
    return receiver::answer(200);
  };
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return ledger.unrecorded == 1; };
    co_await reached();
    ledger.broken.reset();
    app.respond = [](const auto&) { return receiver::answer(200); };
    co_await poll_twice();
    BOOST_TEST(app.arrivals.size() == 1u);
    now += options.lease;
    goal = [&] { return ledger.done.size() == 1; };
    co_await reached();
  };
  run(script);
  BOOST_TEST(app.arrivals.size() == 2u); // at least once
  BOOST_TEST(app.arrivals[0].field("webhook-id") == app.arrivals[1].field("webhook-id"));
}

BOOST_FIXTURE_TEST_CASE(a_stop_begins_no_try_and_does_not_count_cut_tries, notifier_fixture) {
  auto& app = endpoint(here);
  app.hangs = true;
  options.try_timeout = 300ms;
  for (int i = 0; i < 10; ++i) ledger.put("msg_" + std::to_string(i), here, now);
  const auto script = [&](notifier&) -> task<> {
    goal = [&] { return app.now == options.max_in_flight; };
    co_await reached();
  };
  run(script); // the drain waits for no time at all
  BOOST_TEST(cuts == 1);
  BOOST_TEST(app.arrivals.size() == options.max_in_flight);
  for (const auto& [id, w] : ledger.rows) BOOST_TEST((w.tries == 0 && w.due_at == noon + options.lease));
}

BOOST_FIXTURE_TEST_CASE(a_drain_waits_for_the_tries_in_flight, notifier_fixture) {
  auto& app = endpoint(here);
  bool finish = false;
  options.endpoints.front().send = [&](const http_request&, std::string_view) -> task<result<http_response>> {
    app.arrivals.emplace_back();
    goal = [&] { return finish; };
    co_await reached();
    co_return receiver::answer(200);
  };
  ledger.put("msg_1", here, now);
  const auto both = [&]() -> task<> {
    auto home = co_await asio::this_coro::executor;
    notifier deliveries(options, ledger, home);
    group running(home);
    running.start(deliveries.run());
    goal = [&] { return app.arrivals.size() == 1; };
    co_await reached();
    deliveries.stop();
    ledger.put("msg_2", here, now);
    finish = true;
    const std::function<void()> cut = [this] { ++cuts; };
    co_await deliveries.drain(5s, cut);
    const bool ended = co_await running.wait(5s);
    BOOST_TEST(ended);
  };
  test::run_task(both());
  BOOST_TEST(cuts == 0);
  BOOST_REQUIRE(ledger.done.size() == 1u);
  BOOST_TEST(ledger.done.front() == "msg_1");
  BOOST_TEST(app.arrivals.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_test_message_returns_the_receivers_response, notifier_fixture) {
  auto& app = endpoint(here);
  const auto& to = options.endpoints.front();
  const auto taken = test::run_task(send_test_webhook(to, "Postern/test", noon));
  BOOST_TEST((taken && taken->status == 200));
  const auto& came = app.arrivals.front();
  BOOST_TEST(came.body == "{\"type\":\"postern.test\",\"timestamp\":\"" + iso8601_millis(noon) + "\",\"data\":{}}");
  BOOST_TEST(came.field("webhook-id").starts_with("msg_test_"));
  const auto second = std::chrono::floor<std::chrono::seconds>(noon);
  BOOST_TEST(came.field("webhook-signature") == webhook_signature(key, came.field("webhook-id"), second, came.body));
  app.respond = [](const auto&) { return receiver::answer(401, "wrong signature"); };
  const auto refused = test::run_task(send_test_webhook(to, "Postern/test", noon));
  BOOST_TEST((refused && refused->status == 401 && refused->body == "wrong signature"));
}
