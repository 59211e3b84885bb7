#include "support/fakes.hpp"
#include "support/ledger_contract.hpp"
#include <postern/flow/upload_feed.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds no_wait = 0ms, long_wait = 60s;

// Counts how often rows are read and how many; can do something between the reading and the reply.
struct counting_ledger : fake_ledger {
  int reads = 0;
  std::vector<std::size_t> sizes;
  std::function<void()> after_read;

  task<result<std::vector<upload>>> find_all(std::vector<std::string> ids) override {
    ++reads;
    sizes.push_back(ids.size());
    auto found = co_await fake_ledger::find_all(std::move(ids));
    if (after_read) after_read();
    co_return found;
  }
};

struct fixture {
  asio::io_context loop{1};
  upload_feed feed{4};
  counting_ledger ledger;

  upload_feed::subscription subscribe(const upload& u) { return feed.subscribe(u.id, loop.get_executor()).value(); }
  std::optional<upload> next(upload_feed::subscription& s, std::chrono::milliseconds max = no_wait) {
    return run_on(loop, s.next(max));
  }
  void poll() { run_on(loop, feed.poll(ledger)); }
  static upload as(upload u, upload_state state) {
    u.state = state;
    return u;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(upload_feed_, fixture)

BOOST_AUTO_TEST_CASE(a_subscriber_gets_each_change_of_its_upload_and_of_no_other) {
  const auto u = some_upload(1), other = some_upload(2);
  auto s = subscribe(u);
  BOOST_TEST(!next(s).has_value());
  feed.publish(as(other, upload_state::completed));
  BOOST_TEST(!next(s).has_value());
  feed.publish(as(u, upload_state::receiving));
  BOOST_TEST((next(s).value().state == upload_state::receiving));
  BOOST_TEST(!next(s).has_value());
}

BOOST_AUTO_TEST_CASE(of_several_changes_between_two_calls_the_newest_is_returned) {
  const auto u = some_upload(1);
  auto s = subscribe(u);
  for (const auto state : {upload_state::receiving, upload_state::failed, upload_state::completed})
    feed.publish(as(u, state));
  BOOST_TEST((next(s).value().state == upload_state::completed));
  BOOST_TEST(!next(s).has_value());
}

BOOST_AUTO_TEST_CASE(a_change_made_on_another_thread_ends_the_wait) {
  const auto u = some_upload(1);
  auto s = subscribe(u);
  std::thread writer([&] {
    std::this_thread::sleep_for(20ms);
    feed.publish(as(u, upload_state::completed));
  });
  BOOST_TEST((next(s, long_wait).value().state == upload_state::completed));
  writer.join();
}

BOOST_AUTO_TEST_CASE(all_subscribers_of_an_upload_get_its_changes) {
  const auto u = some_upload(1);
  auto first = subscribe(u), second = subscribe(u);
  feed.publish(as(u, upload_state::completed));
  BOOST_TEST(next(first).has_value());
  BOOST_TEST(next(second).has_value());
}

BOOST_AUTO_TEST_CASE(concurrent_publish_and_subscribe_lose_no_change) {
  constexpr unsigned rounds = 300;
  upload_feed many;
  std::atomic<unsigned> missed{0};
  const auto stream = [&](unsigned who) {
    const auto watch = [&](unsigned n) -> task<> {
      const auto u = some_upload(who * rounds + n);
      auto s = many.subscribe(u.id, co_await asio::this_coro::executor).value();
      std::thread writer([&] { many.publish(as(u, upload_state::completed)); });
      const auto changed = co_await s.next(long_wait);
      if (!changed) ++missed;
      writer.join();
    };
    for (unsigned n = 0; n < rounds; ++n) run_task(watch(n));
  };
  std::vector<std::thread> threads;
  for (unsigned who = 0; who < 3; ++who) threads.emplace_back([&, who] { stream(who); });
  for (auto& t : threads) t.join();
  BOOST_TEST(missed == 0u);
}

BOOST_AUTO_TEST_CASE(poll_reads_nothing_without_subscribers) {
  poll();
  { const auto s = subscribe(some_upload(1)); }
  poll();
  BOOST_TEST(ledger.reads == 0);
}

BOOST_AUTO_TEST_CASE(one_read_serves_all_streams_and_reports_what_other_nodes_changed) {
  const auto a = some_upload(1), b = some_upload(2);
  ledger.rows = {{a.id, a}, {b.id, b}};
  auto first = subscribe(a), second = subscribe(a), third = subscribe(b);
  poll();
  BOOST_TEST(ledger.reads == 1);
  BOOST_TEST(ledger.sizes == std::vector<std::size_t>{2});
  for (auto* s : {&first, &second, &third}) BOOST_TEST(next(*s).has_value()); // the first row that the feed knows
  ledger.rows[a.id].state = upload_state::receiving;
  ledger.rows[a.id].received = 17;
  poll();
  for (auto* s : {&first, &second}) BOOST_TEST((next(*s).value().received == 17u));
  BOOST_TEST(!next(third).has_value());
  poll(); // nothing has changed
  for (auto* s : {&first, &second, &third}) BOOST_TEST(!next(*s).has_value());
}

BOOST_AUTO_TEST_CASE(a_row_that_this_process_published_is_not_reported_again) {
  const auto u = some_upload(1);
  ledger.rows[u.id] = as(u, upload_state::completed);
  auto s = subscribe(u);
  feed.publish(ledger.rows[u.id]);
  BOOST_TEST(next(s).has_value());
  poll();
  BOOST_TEST(!next(s).has_value());
}

BOOST_AUTO_TEST_CASE(a_row_that_was_read_before_a_newer_one_was_published_is_dropped) {
  const auto u = some_upload(1);
  ledger.rows[u.id] = as(u, upload_state::receiving);
  auto s = subscribe(u);
  ledger.after_read = [&] { feed.publish(as(u, upload_state::completed)); };
  poll();
  BOOST_TEST((next(s).value().state == upload_state::completed));
  BOOST_TEST(!next(s).has_value());
}

BOOST_AUTO_TEST_CASE(while_the_ledger_cannot_be_read_nothing_is_reported) {
  const auto u = some_upload(1);
  ledger.rows[u.id] = u;
  auto s = subscribe(u);
  ledger.broken = failure(errc::unavailable, "away");
  poll();
  BOOST_TEST(!next(s).has_value());
  ledger.broken.reset();
  poll();
  BOOST_TEST(next(s).has_value());
}

BOOST_AUTO_TEST_CASE(an_upload_without_subscribers_is_not_read) {
  const auto a = some_upload(1), b = some_upload(2);
  auto stays = subscribe(a);
  {
    auto goes = subscribe(b);
    auto moved = std::move(goes); // ends once
  }
  poll();
  BOOST_TEST(ledger.sizes == std::vector<std::size_t>{1});
  feed.publish(as(b, upload_state::completed));
  BOOST_TEST(!next(stays).has_value());
}

BOOST_AUTO_TEST_CASE(subscriptions_are_limited) {
  std::vector<upload_feed::subscription> all;
  for (unsigned n = 0; n < 4; ++n) all.push_back(subscribe(some_upload(n)));
  const auto refused = feed.subscribe(some_upload(9).id, loop.get_executor());
  BOOST_TEST((!refused && refused.error().code == errc::unavailable));
  all.pop_back();
  BOOST_TEST(feed.subscribe(some_upload(9).id, loop.get_executor()).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
