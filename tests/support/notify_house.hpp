// The notifier with a ledger in memory, receivers whose responses the test sets, and a clock that the test moves.
#pragma once

#include "outbox.hpp"
#include "run_task.hpp"
#include <postern/core/http/url.hpp>
#include <postern/flow/notify.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>

namespace postern::test {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

inline const millis_clock noon{milliseconds(1'795'457'700'123)};
inline const secret key("0123456789abcdef0123456789abcdef"), older("fedcba9876543210fedcba9876543210");

inline task<> pause(milliseconds d) {
  boost::system::error_code ec;
  timer t(co_await asio::this_coro::executor, d);
  co_await t.async_wait(asio::redirect_error(use_task, ec));
}

// An application that receives webhooks: what has arrived, and how it responds.
struct receiver {
  struct arrival {
    millis_clock at;
    http_request request;
    std::string body;
    std::string field(std::string_view name) const {
      for (const auto& [n, v] : request.fields)
        if (n == name) return v;
      return "(absent)";
    }
  };
  std::vector<arrival> arrivals;
  std::function<result<http_response>(const arrival&)> respond = [](const arrival&) { return answer(200); };
  bool hangs = false;
  std::size_t now = 0, max_at_once = 0;

  static http_response answer(int status, std::string body = "", std::string name = "", std::string value = "") {
    http_response r;
    r.status = status;
    r.body = std::move(body);
    if (!name.empty()) r.fields.emplace_back(std::move(name), std::move(value));
    return r;
  }
};

// A notifier whose clock the test moves. Only the timeout of a try takes real time.
struct notifier_fixture {
  outbox ledger;
  std::map<std::string, receiver> receivers;
  millis_clock now = noon;
  notifier_options options;

  notifier_fixture() {
    options.clock = [this] { return now; };
    options.random = [] { return 0.0; };
    options.poll = 1ms;
    options.user_agent = "Postern/test";
  }

  receiver& endpoint(const std::string& url, std::vector<secret> keys = {key}) {
    auto& r = receivers[url];
    webhook_target e;
    e.url = url;
    e.at = parse_web_url(url).value();
    e.keys = std::move(keys);
    e.send = [this, &r](const http_request& q, std::string_view body) { return take(r, q, body); };
    options.endpoints.push_back(std::move(e));
    return r;
  }

  task<result<http_response>> take(receiver& r, const http_request& q, std::string_view body) {
    r.arrivals.push_back({now, q, std::string(body)});
    const auto came = r.arrivals.back();
    ++r.now;
    r.max_at_once = std::max(r.max_at_once, r.now);
    struct leaves {
      receiver& of;
      ~leaves() { --of.now; }
    } leaving{r};
    if (r.hangs) co_await pause(1h);
    co_await pause(1ms);
    co_return r.respond(came);
  }

  // Runs the notifier beside `script`, then drains the notifier.
  template <class Script> void run(Script script) {
    const auto both = [this, &script]() -> task<bool> {
      auto home = co_await asio::this_coro::executor;
      notifier deliveries(options, ledger, home);
      group running(home);
      running.start(deliveries.run());
      co_await script(deliveries);
      const std::function<void()> cut = [this] { ++cuts; };
      co_await deliveries.drain(0ms, cut);
      co_return co_await running.wait(10s);
    };
    BOOST_TEST(run_task(both()));
  }
  int cuts = 0;

  // The condition for which reached() waits. It is set on a line of its own: GCC 12 miscompiles a lambda in a co_await
  // expression.
  std::function<bool()> goal;
  task<> reached() {
    const auto met = goal;
    for (int i = 0; i < 5000 && !met(); ++i) co_await pause(1ms);
    BOOST_REQUIRE(met());
  }
  task<> poll_twice() { // then every due message has been taken
    const auto seen = ledger.taken.size();
    goal = [&] { return ledger.taken.size() >= seen + 2; };
    co_await reached();
  }
};

} // namespace postern::test
