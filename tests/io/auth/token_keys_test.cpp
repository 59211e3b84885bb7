#include "support/captured_log.hpp"
#include "support/run_task.hpp"
#include "support/scripted_peer.hpp"
#include "support/token_maker.hpp"
#include <postern/io/auth/token_keys.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;
using test::answers;

namespace {

const auto first = test::signing_key::ec(), second = test::signing_key::ed25519();

std::string set_of(std::vector<std::pair<std::string, const test::signing_key*>> keys) {
  std::string all;
  for (const auto& [kid, key] : keys)
    all += (all.empty() ? "{\"kid\":\"" : ",{\"kid\":\"") + kid + "\"," + key->jwk_members() + "}";
  return "{\"keys\":[" + all + "]}";
}
const std::string old_set = set_of({{"a", &first}}), new_set = set_of({{"a", &first}, {"b", &second}});

// Keys from a peer, and a clock that the test moves.
struct fixture {
  explicit fixture(std::vector<test::step> steps) : peer(std::move(steps)) {}
  clock_point now{};
  test::scripted_peer peer;
  http_client http;
  token_keys_ptr keys = make_jwks(http, options());

  jwks_options options() {
    jwks_options o;
    o.url = {peer.at(), "/jwks"};
    o.clock = [this] { return now; };
    return o;
  }
  token_keys::list refetch() { return test::run_task(keys->refetch()).value(); }
  void round() { test::run_task(keys->keep_fresh()); }
};

} // namespace

BOOST_AUTO_TEST_CASE(fixed_keys_stay) {
  const auto keys = make_fixed_keys(read_key_set(old_set, shared_secrets::refused).value().keys);
  BOOST_TEST(keys->current().value()->size() == 1u);
  BOOST_TEST((test::run_task(keys->refetch()).value() == keys->current().value()));
}

BOOST_AUTO_TEST_CASE(keys_are_fetched_before_the_first_token) {
  fixture f({answers(200, old_set).wants("GET /jwks HTTP/1.1")});
  BOOST_TEST((f.keys->current().error().code == errc::unavailable));
  f.round();
  BOOST_TEST(f.keys->current().value()->front().kid == "a");
}

BOOST_AUTO_TEST_CASE(a_token_without_a_key_makes_them_fetched_at_once) {
  fixture f({answers(200, old_set)});
  BOOST_TEST(f.refetch()->size() == 1u);
}

BOOST_AUTO_TEST_CASE(unknown_keys_are_looked_for_once_in_30_seconds) {
  fixture f({answers(200, old_set), answers(200, old_set), answers(200, new_set)});
  f.round();
  BOOST_TEST(f.refetch()->size() == 1u); // the background's fetch does not count
  BOOST_TEST(f.peer.requests().size() == 2u);
  f.now += 29s;
  BOOST_TEST(f.refetch()->size() == 1u);
  BOOST_TEST(f.peer.requests().size() == 2u);
  f.now += 1s;
  BOOST_TEST(f.refetch()->size() == 2u);
  BOOST_TEST(f.refetch()->size() == 2u);
  BOOST_TEST(f.peer.requests().size() == 3u);
}

BOOST_AUTO_TEST_CASE(the_background_fetches_every_five_minutes) {
  fixture f({answers(200, old_set), answers(200, new_set)});
  f.round();
  f.now += 299s;
  f.round();
  BOOST_TEST(f.peer.requests().size() == 1u);
  f.now += 1s;
  f.round();
  BOOST_TEST(f.keys->current().value()->size() == 2u);
}

BOOST_AUTO_TEST_CASE(the_same_set_is_the_same_pointer) {
  fixture f({answers(200, old_set), answers(200, old_set)});
  f.round();
  const auto before = f.keys->current().value();
  f.now += 300s;
  f.round();
  BOOST_TEST((f.keys->current().value() == before));
}

BOOST_AUTO_TEST_CASE(old_keys_serve_while_the_url_is_down_but_not_for_ever) {
  const test::captured_log log;
  fixture f([] {
    std::vector<test::step> steps{answers(200, old_set)};
    for (int n = 0; n < 4; ++n) steps.push_back(answers(500));
    return steps;
  }());
  f.round();
  for (int n = 0; n < 4; ++n) {
    f.now += n == 0 ? 300s : 5s; // after a failure it is tried again soon
    f.round();
    BOOST_TEST(f.keys->current().value()->size() == 1u);
  }
  const std::string line = "keys for tokens cannot be fetched";
  BOOST_TEST(log.text().find(line) != std::string::npos);
  BOOST_TEST(log.text().find(line) == log.text().rfind(line)); // once
  f.now += 24h;
  BOOST_TEST((f.keys->current().error().code == errc::unavailable));
  BOOST_TEST(f.peer.requests().size() == 5u);
}

BOOST_AUTO_TEST_CASE(what_is_no_key_set_leaves_the_old_keys) {
  const auto shared = R"({"keys":[{"kty":"oct","kid":"s","k":")" + std::string(64, 'A') + "\"}]}";
  for (const auto& answer : {answers(302, "", {{"Location", "/other"}}), answers(204), answers(200, "<html>"),
                             answers(200, "{\"keys\":[1]}"), answers(200, shared),
                             answers(200, std::string(300 << 10, ' ') + new_set), answers(200, "").closes()}) {
    fixture f({answers(200, old_set), answer});
    f.round();
    f.now += 300s;
    f.round();
    BOOST_TEST(f.keys->current().value()->front().kid == "a");
    BOOST_TEST(f.peer.requests().size() == 2u);
  }
}

BOOST_AUTO_TEST_CASE(an_empty_set_withdraws_the_keys) {
  fixture f({answers(200, old_set), answers(200, "{\"keys\":[]}")});
  f.round();
  f.now += 300s;
  f.round();
  BOOST_TEST(f.keys->current().value()->empty());
}

BOOST_AUTO_TEST_CASE(tokens_that_come_together_share_a_fetch) {
  fixture f({answers(200, old_set).after(50ms)});
  const auto ask_twenty_times = [](token_keys& keys) -> task<int> {
    group asking(co_await asio::this_coro::executor);
    int found = 0;
    const auto one = [&]() -> task<> { found += (co_await keys.refetch()).has_value(); };
    for (int n = 0; n < 20; ++n) asking.start(one());
    co_await asking.wait(10s);
    co_return found;
  };
  BOOST_TEST(test::run_task(ask_twenty_times(*f.keys)) == 20);
  BOOST_TEST(f.peer.requests().size() == 1u);
}
