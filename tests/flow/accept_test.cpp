#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/flow/accept.hpp>
#include <postern/flow/completion/record.hpp>
#include <postern/flow/completion/sweep.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

const signer own({secret("a secret for the tests only")});

// One upload whose object is in quarantine, and a hook that answers as the test says.
struct fixture {
  millis_clock now{std::chrono::milliseconds(1'795'457'700'123)};
  test::fake_store store;
  test::fake_ledger ledger;
  std::map<std::string, profile> profiles;
  const recorder recording{ledger, store, profiles};
  const std::string id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4";
  const std::string key = "uploads/" + id + "/a b", quarantined = "media/quarantine/" + key, final = "media/" + key;

  result<http_response> answer = failure{errc::unavailable, "nobody listens"};
  std::vector<std::pair<http_request, std::string>> questions;
  std::function<void()> before_answer = [] {};
  completer completions{own, store, ledger, recording};
  acceptor verdicts{options(), store, ledger, completions};

  fixture() {
    auto& rules = profiles["default"];
    rules.accept.url = "https://app.example.com/judge";
    rules.unclaimed = 1h;
    put("abc");
    (void)record();
  }
  acceptor_options options() {
    acceptor_options o;
    auto& hook = o.hooks["default"];
    hook.to.at = parse_web_url("https://app.example.com/judge").value();
    hook.to.keys = {secret("a secret of the hook")};
    hook.to.send = [this](const http_request& r, std::string_view body) { return respond(r, std::string(body)); };
    hook.deadline = 24h;
    hook.unclaimed = 1h;
    o.clock = [this] { return now; };
    o.random = [] { return 0.0; };
    return o;
  }
  task<result<http_response>> respond(http_request r, std::string body) {
    questions.emplace_back(std::move(r), std::move(body));
    before_answer();
    co_return answer;
  }
  upload signed_row() const {
    upload u;
    u.id = id;
    u.profile = "default";
    u.bucket = "media";
    u.key = "quarantine/" + key;
    u.max_size = 100;
    u.expires_at = now + 15min;
    return u;
  }
  result<upload> record() {
    return test::run_task(
        recording.record(signed_row(), store.objects.at(quarantined), completion_source::fallback, now));
  }
  void put(const std::string& etag) {
    stored_object o;
    o.size = 50;
    o.etag = etag;
    o.meta.user.emplace_back("postern-id", id);
    store.objects[quarantined] = o;
  }
  void says(int status, std::string body) {
    http_response r;
    r.status = status;
    r.body = std::move(body);
    answer = std::move(r);
  }
  void round() { run(verdicts); }
  static void run(acceptor& which) {
    const auto whole_round = [](acceptor& a) -> task<> {
      group started(co_await asio::this_coro::executor);
      co_await a.run_round(started);
      (void)co_await started.wait(10s);
    };
    test::run_task(whole_round(which));
  }
  result<upload> accept(std::string etag = {}) {
    return test::run_task(verdicts.settle(id, {true, "", std::move(etag)}));
  }
  result<upload> reject(std::string reason) {
    return test::run_task(verdicts.settle(id, {false, std::move(reason), ""}));
  }
  upload& row() { return ledger.rows.at(id); }
  bool is_stored(const std::string& name) { return store.objects.contains(name); }
};

} // namespace

// Its store or its hook may be slow.
BOOST_FIXTURE_TEST_CASE(uploads_to_one_bucket_leave_places_for_the_others, fixture) {
  for (int n = 0; n < 6; ++n) {
    auto u = signed_row();
    u.id.back() = static_cast<char>('5' + n % 5);
    u.id[u.id.size() - 2] = static_cast<char>('0' + n);
    u.bucket = "away";
    u.key = "quarantine/uploads/" + u.id + "/a b";
    stored_object o;
    o.size = 50;
    o.meta.user.emplace_back("postern-id", u.id);
    BOOST_TEST(test::run_task(recording.record(u, o, completion_source::fallback, now)).has_value());
  }
  struct slow_hook {
    int running = 0, most = 0, others = 0;
    task<result<http_response>> answer(bool is_away) {
      others += is_away ? 0 : 1;
      running += is_away ? 1 : 0;
      most = std::max(most, running);
      timer pause(co_await asio::this_coro::executor, 50ms);
      co_await pause.async_wait(use_task);
      running -= is_away ? 1 : 0;
      http_response later;
      later.status = 202;
      co_return later;
    }
  } hook;
  auto o = options();
  o.max_of_bucket = 2;
  o.hooks["default"].to.send = [&hook](const http_request&, std::string_view body) {
    return hook.answer(body.find("\"away\"") != body.npos);
  };
  acceptor fair(std::move(o), store, ledger, completions);
  run(fair);
  BOOST_TEST(hook.most == 2);
  BOOST_TEST(hook.others == 1);
}

BOOST_FIXTURE_TEST_CASE(an_object_waits_in_quarantine_for_its_verdict, fixture) {
  BOOST_TEST((row().state == upload_state::checking && row().final_key == key));
  says(200, R"({"verdict":"accept"})");
  before_answer = [&] { BOOST_TEST(!is_stored(final)); };
  round();
  BOOST_TEST((row().state == upload_state::completed && row().key == key && row().etag == "copy-abc"));
  BOOST_TEST((row().claim_until == now + 1h));
  BOOST_TEST(is_stored(final));
  BOOST_TEST(!is_stored(quarantined));
  BOOST_TEST_REQUIRE(questions.size() == 1u);
  const auto& [request, body] = questions[0];
  BOOST_TEST(request.method == "POST");
  BOOST_TEST(request.target == "/judge");
  BOOST_TEST((body.find(R"("type":"upload.checking")") != body.npos));
  BOOST_TEST((body.find(R"("stored_key":"quarantine/)" + key) != body.npos));
  BOOST_TEST((body.find(R"("key":")" + key) != body.npos));
  round();
  BOOST_TEST(questions.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_rejected_object_is_deleted, fixture) {
  says(200, "{\"verdict\":\"reject\",\"reason\":\"a virus:\\n EICAR\"}");
  round();
  BOOST_TEST((row().state == upload_state::rejected && row().reason == "a virus: EICAR"));
  BOOST_TEST(store.objects.empty());
  BOOST_TEST((accept().error().code == errc::conflict));
  put("abc");
  BOOST_TEST((record().error().code == errc::conflict));
}

// Whatever is no verdict is asked again, with growing pauses, until the deadline.
BOOST_FIXTURE_TEST_CASE(answers_that_are_no_verdict_are_asked_again, fixture) {
  const std::pair<int, std::string> answers[] = {{500, ""},
                                                 {200, ""},
                                                 {200, "yes"},
                                                 {200, R"({"verdict":"maybe"})"},
                                                 {200, R"(["accept"])"},
                                                 {204, R"({"verdict":"accept"})"},
                                                 {302, R"({"verdict":"accept"})"},
                                                 {401, R"({"verdict":"reject"})"}};
  unsigned asked = 0;
  for (const auto& [status, body] : answers) BOOST_TEST_CONTEXT(status << " " << body) {
      says(status, body);
      now += 30min;
      round();
      BOOST_TEST(row().asked == ++asked);
      BOOST_TEST((row().state == upload_state::checking));
    }
  answer = failure{errc::timed_out, "no answer"};
  now += 30min;
  round();
  BOOST_TEST(row().asked == ++asked);
  round();
  BOOST_TEST(questions.size() == asked); // a pause comes first
  BOOST_TEST(is_stored(quarantined));
  now = *row().stored_at + 24h;
  round();
  BOOST_TEST((row().state == upload_state::rejected && row().reason == "no verdict before the deadline"));
  BOOST_TEST(questions.size() == asked);
}

BOOST_FIXTURE_TEST_CASE(a_verdict_may_come_later, fixture) {
  says(202, "");
  round();
  BOOST_TEST(row().asked == 0u);
  BOOST_TEST((accept("that of another object").error().code == errc::conflict));
  BOOST_TEST((ledger.verdicts.at(id) == *row().stored_at + 24h));
  BOOST_TEST((accept().value().state == upload_state::completed));
  BOOST_TEST((accept().value().state == upload_state::completed)); // again
  BOOST_TEST((reject("x").error().code == errc::conflict));
}

BOOST_FIXTURE_TEST_CASE(an_object_that_was_replaced_is_checked_again, fixture) {
  says(200, R"({"verdict":"accept"})");
  before_answer = [&] { put("other"); };
  round();
  BOOST_TEST((row().state == upload_state::checking && row().etag == "other" && !row().is_accepted));
  BOOST_TEST(!is_stored(final));
  before_answer = [] {};
  round();
  BOOST_TEST((row().state == upload_state::completed && row().etag == "copy-other"));
  BOOST_TEST(questions.size() == 2u);
}

// A verdict that is said twice, by the answer and by a request of its own, is about one object only.
BOOST_FIXTURE_TEST_CASE(a_second_word_about_the_first_object_accepts_no_other_one, fixture) {
  says(200, R"({"verdict":"accept"})");
  before_answer = [&] {
    put("evil");
    BOOST_TEST((accept("abc").value().state == upload_state::checking)); // checked again
  };
  round();
  BOOST_TEST((row().state == upload_state::checking && row().etag == "evil" && !row().is_accepted));
  BOOST_TEST(!is_stored(final));
}

BOOST_FIXTURE_TEST_CASE(what_replaces_an_object_must_be_what_was_signed, fixture) {
  says(200, R"({"verdict":"accept"})");
  before_answer = [&] {
    put("larger");
    store.objects[quarantined].size = 1000; // the form allows 100
  };
  round();
  BOOST_TEST((row().state == upload_state::rejected));
  BOOST_TEST(!is_stored(final));
}

// A node was killed after the copy. What the form brought since is not what was judged.
BOOST_FIXTURE_TEST_CASE(a_copy_that_was_not_recorded_counts, fixture) {
  row().is_accepted = true;
  store.objects[final] = store.objects[quarantined];
  store.objects[final].etag = "the copy's";
  put("later");
  round();
  BOOST_TEST((row().state == upload_state::completed && row().etag == "the copy's"));
  BOOST_TEST(questions.empty());
}

// An upload without a row, whose profile nobody knows, leaves quarantine by a verdict only.
BOOST_FIXTURE_TEST_CASE(a_lost_row_does_not_lose_the_hook, fixture) {
  ledger.rows.clear();
  auto u = signed_row();
  u.profile.clear();
  u.user.clear();
  const auto found = store.objects.at(quarantined);
  const auto recorded = test::run_task(recording.record(u, found, completion_source::event, now)).value();
  BOOST_TEST((recorded.state == upload_state::checking && recorded.final_key == key));
}

BOOST_FIXTURE_TEST_CASE(a_hook_that_hangs_is_not_asked_about_every_upload, fixture) {
  answer = failure{errc::timed_out, "no answer"};
  for (int n = 0; n < 5; ++n) {
    auto u = row();
    u.id = "01a20a86-41d4-7ac8-8ecb-00000000000" + std::to_string(n);
    ledger.rows[u.id] = u;
    ledger.verdicts[u.id] = now + 1s;
  }
  round();
  BOOST_TEST(questions.size() == 1u);
  now += 1s;
  round();
  BOOST_TEST(questions.size() == 1u);
  now += 30s;
  round();
  BOOST_TEST(questions.size() > 1u);
}

BOOST_FIXTURE_TEST_CASE(an_object_that_disappeared_is_rejected, fixture) {
  says(200, R"({"verdict":"accept"})");
  before_answer = [&] { store.objects.clear(); };
  round();
  BOOST_TEST((row().state == upload_state::rejected));
}

BOOST_FIXTURE_TEST_CASE(a_store_that_is_away_delays_the_move_and_asks_nobody_twice, fixture) {
  says(200, R"({"verdict":"accept"})");
  before_answer = [&] { store.broken = failure{errc::unavailable, "away"}; };
  round();
  BOOST_TEST((row().state == upload_state::checking && row().is_accepted));
  BOOST_TEST((accept().value().state == upload_state::checking));
  store.broken.reset();
  now += 10min; // pauses grow
  round();
  BOOST_TEST((row().state == upload_state::completed));
  BOOST_TEST(questions.size() == 1u);
}

// The form can be posted until it expires: what it stores after the verdict stays in quarantine, and is deleted.
BOOST_FIXTURE_TEST_CASE(what_comes_behind_a_verdict_is_deleted, fixture) {
  for (const bool is_accepted : {true, false}) {
    says(200, is_accepted ? R"({"verdict":"accept"})" : R"({"verdict":"reject"})");
    if (!is_accepted) {
      ledger.rows.clear();
      put("abc");
      (void)record();
    }
    round();
    put("later");
    BOOST_TEST((record().error().code == errc::conflict));
    const auto before = row();
    ledger.checks[id] = now; // as the ledger schedules it
    const remover removals{{}, store, ledger};
    sweeper_options options;
    options.clock = [this] { return now; };
    sweeper s(options, completions, removals, ledger);
    test::run_task(s.run_round());
    BOOST_TEST(!is_stored(quarantined));
    BOOST_TEST(is_stored(final));
    BOOST_TEST((row() == before));
    BOOST_TEST(ledger.settled.contains(id));
    ledger.checks.clear();
  }
}

BOOST_FIXTURE_TEST_CASE(without_its_hook_an_upload_waits, fixture) {
  auto o = options();
  o.hooks.clear();
  acceptor elsewhere(o, store, ledger, completions);
  run(elsewhere);
  BOOST_TEST((row().state == upload_state::checking && row().asked == 0u));
  BOOST_TEST(questions.empty());
  now += 24h;
  run(elsewhere);
  BOOST_TEST((row().state == upload_state::rejected));
}
