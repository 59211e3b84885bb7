#include "support/captured_log.hpp"
#include "support/fake_body.hpp"
#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include "support/test_share.hpp"
#include <postern/flow/completion/complete.hpp>
#include <postern/flow/completion/sweep.hpp>
#include <postern/flow/completion/verify.hpp>
#include <postern/flow/transfer.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>

using namespace postern;

namespace {

const signer own({secret("a secret for the tests only")});
const millis_clock now{std::chrono::milliseconds(1'795'457'700'123)};

// Finds what the test says, and remembers what it was shown.
struct fake_finder final : type_finder {
  result<std::string> answer = std::string("image/png");
  std::vector<std::string> shown;
  task<result<std::string>> find(std::string first_bytes) override {
    shown.push_back(std::move(first_bytes));
    co_return answer;
  }
};

std::map<std::string, profile> some_profiles() {
  std::map<std::string, profile> all;
  for (const char* name : {"looks", "keeps", "adds", "trusts"}) all[name].name = name;
  for (const char* name : {"looks", "keeps", "adds"}) all[name].verify = {profile_check::type};
  all["keeps"].on_mismatch = mismatch_action::keep;
  all["adds"].type_equivalents["image/png"] = {"text/html"};
  return all;
}

struct fixture {
  test::captured_log log;
  test::fake_store store;
  test::fake_ledger ledger;
  fake_finder finder;
  std::map<std::string, profile> profiles = some_profiles();
  verifier verify{profiles, &finder, store, ledger, [] { return now; }};
  const recorder recording{ledger, store, profiles};
  completer completions{own, store, ledger, recording, {}, &verify};
  claim c{"01a20a86-41d4-7ac8-8ecb-3931cee2cfd4",
          "looks",
          "",
          "media",
          "uploads/a b",
          {0, 10'000},
          "",
          "",
          std::chrono::floor<std::chrono::seconds>(now) + std::chrono::hours(1),
          "image/png"};

  fixture() { put(std::string(5000, 'x')); }
  void put(std::string bytes, const std::string& type = "image/png") {
    stored_object o;
    o.size = bytes.size();
    o.etag = "abc";
    o.meta.user.emplace_back("postern-id", c.id);
    if (!type.empty()) o.meta.headers.emplace_back("content-type", type);
    store.objects["media/uploads/a b"] = o;
    store.contents["media/uploads/a b"] = std::move(bytes);
  }
  void find(std::string type) { finder.answer = std::move(type); }
  result<redirect_outcome> complete() {
    return test::run_task(completions.complete_by_redirect(own.sign_claim(c), {}, "", now));
  }
  errc refused() {
    const auto done = complete();
    return done ? errc::internal : done.error().code;
  }
  bool has_object() const { return store.objects.contains("media/uploads/a b"); }
  const upload& row() { return ledger.rows.at(c.id); }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_file_that_is_what_it_declares_is_completed, fixture) {
  BOOST_TEST((complete().value().recorded.state == upload_state::completed));
  BOOST_TEST_REQUIRE(finder.shown.size() == 1u);
  BOOST_TEST(finder.shown.front() == std::string(4096, 'x')); // no more is read
  BOOST_TEST((complete().value().recorded.state == upload_state::completed));
  BOOST_TEST(finder.shown.size() == 1u); // it was looked at once
}

BOOST_FIXTURE_TEST_CASE(a_file_that_is_another_fails_and_is_deleted, fixture) {
  find("text/html");
  BOOST_TEST((refused() == errc::type_mismatch));
  BOOST_TEST((row().state == upload_state::failed));
  BOOST_TEST(row().failed_because == "type_mismatch");
  BOOST_TEST(!has_object());
  BOOST_TEST(ledger.confirmed == 0);
  BOOST_TEST(log.text().find("declared as") != std::string::npos);
  BOOST_TEST((refused() == errc::type_mismatch)); // the claim still says why
}

BOOST_FIXTURE_TEST_CASE(a_file_of_no_known_type_is_no_image, fixture) {
  for (const auto* unknown : {"application/octet-stream", ""}) {
    put("xxx");
    find(unknown);
    BOOST_TEST((refused() == errc::type_mismatch));
    BOOST_TEST(!has_object());
  }
}

BOOST_FIXTURE_TEST_CASE(a_profile_may_keep_the_object_or_allow_the_type, fixture) {
  find("text/html");
  c.profile = "keeps";
  BOOST_TEST((refused() == errc::type_mismatch));
  BOOST_TEST(has_object());
  BOOST_TEST((row().state == upload_state::failed));
  c.profile = "adds";
  BOOST_TEST(complete().has_value());
}

BOOST_FIXTURE_TEST_CASE(a_profile_that_does_not_ask_is_not_looked_at, fixture) {
  find("text/html");
  c.profile = "trusts";
  BOOST_TEST(complete().has_value());
  BOOST_TEST(finder.shown.empty());
}

BOOST_FIXTURE_TEST_CASE(an_unknown_profile_is_looked_at_if_any_is, fixture) {
  find("text/html");
  c.profile = "";
  BOOST_TEST((refused() == errc::type_mismatch));
  BOOST_TEST(has_object()); // one of the profiles keeps
  profiles.erase("keeps");
  const verifier without_it(profiles, &finder, store, ledger, [] { return now; });
  completer others(own, store, ledger, recording, {}, &without_it);
  BOOST_TEST((test::run_task(others.complete_by_redirect(own.sign_claim(c), {}, "", now)).error().code ==
              errc::type_mismatch));
  BOOST_TEST(!has_object());
  const std::map<std::string, profile> none;
  BOOST_TEST(!verifier(none, nullptr, store, ledger, [] { return now; }).looks_at(""));
}

BOOST_FIXTURE_TEST_CASE(an_empty_object_is_not_read, fixture) {
  put("");
  find("inode/x-empty");
  BOOST_TEST((refused() == errc::type_mismatch));
  BOOST_TEST(finder.shown.front().empty());
}

BOOST_FIXTURE_TEST_CASE(when_nobody_can_look_the_upload_is_pending, fixture) {
  finder.answer = failure{errc::unavailable, "no child"};
  BOOST_TEST(complete().value().is_pending);
  BOOST_TEST((row().state == upload_state::issued));
  BOOST_TEST(has_object());
  BOOST_TEST(ledger.checks.contains(c.id));
  find("image/png");
  BOOST_TEST(!complete().value().is_pending);
}

BOOST_FIXTURE_TEST_CASE(when_the_bytes_are_not_those_of_the_object_the_upload_is_pending, fixture) {
  store.contents["media/uploads/a b"] = "shorter than the object";
  BOOST_TEST(complete().value().is_pending);
  BOOST_TEST(finder.shown.empty());
  BOOST_TEST(has_object());
}

BOOST_FIXTURE_TEST_CASE(an_object_that_was_replaced_meanwhile_is_kept, fixture) {
  find("text/html");
  auto seen = store.objects.at("media/uploads/a b");
  seen.etag = "before";
  const auto u = upload_of(c, c.key);
  BOOST_TEST((test::run_task(verify.examine(u, seen)).error().code == errc::unavailable)); // another ETag is there now
  BOOST_TEST(has_object());
  BOOST_TEST(ledger.failed == 0);
}

BOOST_FIXTURE_TEST_CASE(when_the_failure_cannot_be_recorded_the_object_stays, fixture) {
  find("text/html");
  ledger.broken = failure{errc::unavailable, "no ledger"};
  const auto u = upload_of(c, c.key);
  BOOST_TEST(test::run_task(verify.examine(u, store.objects.at("media/uploads/a b"))).has_error());
  BOOST_TEST(has_object());
}

BOOST_FIXTURE_TEST_CASE(a_completed_upload_does_not_fail, fixture) {
  BOOST_TEST(complete().has_value());
  find("text/html");
  auto& object = store.objects.at("media/uploads/a b");
  object.etag = "new";
  const auto done =
      test::run_task(completions.complete_by_redirect(own.sign_claim(c), {"media", "uploads/a b", "\"new\""}, "", now));
  BOOST_TEST_REQUIRE(done.has_value());
  BOOST_TEST((row().state == upload_state::completed));
  BOOST_TEST(row().overwritten_etag == "new"); // it is announced as an overwrite
  BOOST_TEST(has_object());
}

BOOST_FIXTURE_TEST_CASE(an_event_about_another_file_fails_the_upload, fixture) {
  find("text/html");
  c.key = "uploads/" + c.id + "/a b";
  store.objects["media/" + c.key] = store.objects.at("media/uploads/a b");
  store.contents["media/" + c.key] = std::string(5000, 'x');
  ledger.issue(upload_of(c, c.key));
  object_event event;
  event.bucket = c.bucket, event.key = c.key, event.etag = "abc", event.created = true;
  bucket_names silent;
  BOOST_TEST((test::run_task(completions.complete_by_event(event, now, silent)).value() == event_outcome::ignored));
  BOOST_TEST(silent.empty());
  BOOST_TEST(row().failed_because == "type_mismatch");
  BOOST_TEST(!store.objects.contains("media/" + c.key));
}

BOOST_FIXTURE_TEST_CASE(the_sweep_fails_an_upload_of_another_file, fixture) {
  find("text/html");
  ledger.issue(upload_of(c, c.key));
  ledger.checks[c.id] = now;
  sweeper_options o;
  o.clock = [] { return now; };
  const remover removals({}, store, ledger);
  sweeper sweeps(o, completions, removals, ledger);
  test::run_task(sweeps.run_round());
  BOOST_TEST(row().failed_because == "type_mismatch");
  BOOST_TEST(!has_object());
}

BOOST_FIXTURE_TEST_CASE(the_content_type_must_be_the_signed_one_in_every_profile, fixture) {
  c.profile = "trusts";
  put("x", "text/html");
  BOOST_TEST((refused() == errc::conflict));
  BOOST_TEST(has_object());
  put("x", "");
  BOOST_TEST((refused() == errc::conflict)); // an object without a type is application/octet-stream
  put("x", "Image/PNG");
  BOOST_TEST(complete().has_value());
  c.id = "01a20a86-41d4-7ac8-8ecb-000000000000"; // a claim that does not name the type
  c.content_type = "";
  put("x", "text/html");
  BOOST_TEST(complete().has_value());
}

// --- the fallback ---

namespace {

class whole_body final : public file_decoder {
public:
  result<void> decode(std::span<const char> piece, runs& out) override {
    if (!piece.empty()) out.push_back(piece);
    return {};
  }
  result<void> finish() override { return {}; }
};

struct transfer_fixture : fixture {
  test::test_share share;
  transfers carriers{store, ledger, recording, [] { return now; }, &verify};
  whole_body decoder;
  upload_plan plan;

  transfer_fixture() {
    store.objects.clear();
    plan.row = upload_of(c, c.key);
    plan.meta.user.emplace_back("postern-id", c.id);
  }
  result<stored_object> carry(std::string bytes, std::size_t piece) {
    test::fake_body body{std::move(bytes)};
    body.piece = piece;
    BOOST_TEST(test::run_task(share.own.take_memory(transfers::first_buffer)).has_value());
    incoming_file file{body, share.own, decoder, body.announced_size(), read_buffer(transfers::first_buffer), {}};
    return test::run_task(carriers.carry(plan, std::move(file)));
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(the_fallback_looks_at_the_first_bytes, transfer_fixture) {
  std::string bytes(9000, 'a');
  for (std::size_t n = 0; n < bytes.size(); ++n) bytes[n] = static_cast<char>('a' + n % 17);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{4095}, std::size_t{4096}, std::size_t{1} << 20}) {
    finder.shown.clear();
    BOOST_TEST(carry(bytes, piece).has_value());
    BOOST_TEST_REQUIRE(finder.shown.size() == 1u);
    BOOST_TEST(finder.shown.front() == bytes.substr(0, 4096));
  }
}

BOOST_FIXTURE_TEST_CASE(the_fallback_stores_nothing_that_is_another_file, transfer_fixture) {
  find("image/svg+xml");
  for (const char* profile : {"looks", "keeps"}) {
    plan.row.profile = profile;
    BOOST_TEST((carry("<svg/>", 100).error().code == errc::type_mismatch));
    BOOST_TEST(!has_object());
    BOOST_TEST(store.abandoned == store.opened);
    BOOST_TEST(row().failed_because == "type_mismatch");
  }
  BOOST_TEST(ledger.confirmed == 0);
  plan.row.profile = "trusts";
  finder.shown.clear();
  BOOST_TEST(carry("<svg/>", 100).has_value());
  BOOST_TEST(finder.shown.empty());
}

BOOST_FIXTURE_TEST_CASE(the_fallback_can_be_tried_again_when_nobody_can_look, transfer_fixture) {
  finder.answer = failure{errc::unavailable, "no child"};
  BOOST_TEST((carry("x", 100).error().code == errc::unavailable));
  BOOST_TEST(!has_object());
  BOOST_TEST((row().state == upload_state::issued));
  find("image/png");
  BOOST_TEST(carry("x", 100).has_value());
}
