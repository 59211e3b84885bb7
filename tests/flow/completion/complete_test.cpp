#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/flow/completion/complete.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const signer own({secret("a secret for the tests only")});
const millis_clock now{std::chrono::milliseconds(1'795'457'700'123)};

struct fixture {
  test::fake_store store;
  test::fake_ledger ledger;
  std::map<std::string, profile> profiles;
  const recorder recording{ledger, store, profiles};
  completer completions{own, store, ledger, recording};
  claim c{"01a20a86-41d4-7ac8-8ecb-3931cee2cfd4",
          "default",
          "",
          "media",
          "uploads/a b",
          {1, 100},
          "",
          "",
          std::chrono::floor<std::chrono::seconds>(now) + std::chrono::hours(1)};

  fixture() {
    stored_object o;
    o.size = 50;
    o.etag = "abc";
    o.meta.user.emplace_back("postern-id", c.id);
    store.objects["media/uploads/a b"] = o;
  }
  stored_object& object() { return store.objects.at("media/uploads/a b"); }
  result<redirect_outcome> complete(redirect_parameters query) {
    return test::run_task(completions.complete_by_redirect(own.sign_claim(c), std::move(query), "", now));
  }
  result<redirect_outcome> complete() { return complete({"media", "uploads/a b", "\"abc\""}); }
  errc refused(redirect_parameters query) {
    auto done = complete(std::move(query));
    return done ? errc::internal : done.error().code;
  }
  errc refused() { return refused({"media", "uploads/a b", "\"abc\""}); }
};

// The upload was signed, and the object exists.
struct event_fixture : fixture {
  object_event event;
  event_fixture() {
    c.key = "uploads/" + c.id + "/a b";
    store.objects[c.bucket + "/" + c.key] = object();
    ledger.issue(upload_of(c, c.key));
    event.bucket = c.bucket;
    event.key = c.key;
    event.etag = "abc";
    event.created = true;
    event.kind = "ObjectCreated:Post";
  }
  stored_object& mine() { return store.objects.at(c.bucket + "/" + c.key); }
  bucket_names silent;
  result<event_outcome> receive() { return test::run_task(completions.complete_by_event(event, now, silent)); }
  bool ignored() {
    const auto came = receive();
    return came && *came == event_outcome::ignored && ledger.confirmed == 0;
  }
  const upload& row() { return ledger.rows.at(c.id); }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_redirect_completes_an_upload_whose_object_exists, fixture) {
  const auto done = complete().value();
  BOOST_TEST((done.recorded.state == upload_state::completed));
  BOOST_TEST(*done.recorded.size == 50u);
  BOOST_TEST(done.recorded.etag == "abc");
  BOOST_TEST((done.recorded.completed_by == completion_source::redirect));
  BOOST_TEST(!done.is_pending);
}

BOOST_FIXTURE_TEST_CASE(a_reload_does_not_ask_the_store_again, fixture) {
  (void)complete();
  const auto again = complete().value();
  BOOST_TEST((again.recorded.state == upload_state::completed));
  BOOST_TEST(store.heads == 1);
  BOOST_TEST(ledger.confirmed == 1);
}

BOOST_FIXTURE_TEST_CASE(the_claim_completes_the_upload_without_parameters, fixture) {
  BOOST_TEST(complete({}).has_value());
}

BOOST_FIXTURE_TEST_CASE(parameters_that_contradict_the_claim_are_rejected, fixture) {
  BOOST_TEST((refused({"other", "uploads/a b", std::nullopt}) == errc::forbidden));
  BOOST_TEST((refused({"media", "uploads/other", std::nullopt}) == errc::forbidden));
  BOOST_TEST(
      (test::run_task(completions.complete_by_redirect("forged.token", {}, "", now)).error().code == errc::forbidden));
  c.expires = std::chrono::floor<std::chrono::seconds>(now);
  BOOST_TEST((refused() == errc::forbidden));
  BOOST_TEST(ledger.rows.empty());
}

BOOST_FIXTURE_TEST_CASE(another_object_under_the_key_is_a_conflict, fixture) {
  BOOST_TEST((refused({"media", "uploads/a b", "\"other\""}) == errc::conflict));
  object().size = 101;
  BOOST_TEST((refused() == errc::conflict));
  object().size = 0;
  BOOST_TEST((refused() == errc::conflict));
  object().size = 50;
  object().meta.user.front().second = "01a20a86-41d4-7ac8-8ecb-000000000000";
  BOOST_TEST((refused() == errc::conflict));
  object().meta.user.clear();
  BOOST_TEST((refused() == errc::conflict));
  BOOST_TEST(ledger.confirmed == 0);
}

BOOST_FIXTURE_TEST_CASE(an_absent_object_is_object_absent, fixture) {
  store.objects.clear();
  BOOST_TEST((refused() == errc::object_absent));
  BOOST_TEST(ledger.confirmed == 0);
}

BOOST_FIXTURE_TEST_CASE(an_unreachable_store_leaves_the_completion_pending, fixture) {
  store.broken = failure(errc::unavailable, "no answer");
  const auto done = complete().value();
  BOOST_TEST(done.is_pending);
  BOOST_TEST(ledger.confirmed == 0);
}

BOOST_FIXTURE_TEST_CASE(a_ledger_that_cannot_write_fails_the_completion, fixture) {
  ledger.broken = failure(errc::ledger_failed, "disk full");
  BOOST_TEST((refused() == errc::ledger_failed));
}

BOOST_FIXTURE_TEST_CASE(a_claim_without_a_file_name_covers_the_key_that_was_used, fixture) {
  c.key = "uploads/${filename}";
  BOOST_TEST(complete({"media", "uploads/a b", std::nullopt})->recorded.key == "uploads/a b");
  BOOST_TEST((refused({"media", "elsewhere/a b", std::nullopt}) == errc::forbidden));
  c.id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd5";
  BOOST_TEST((refused({"media", std::nullopt, std::nullopt}) == errc::bad_request));
}

BOOST_FIXTURE_TEST_CASE(a_claim_without_a_file_name_is_no_way_to_ask_the_store_without_end, fixture) {
  c.key = "uploads/${filename}";
  int refusals = 0;
  for (int n = 0; n < 100; ++n) {
    const auto code = refused({"media", "uploads/" + std::to_string(n), std::nullopt});
    BOOST_TEST((code == errc::object_absent || code == errc::too_many_requests));
    refusals += code == errc::too_many_requests;
  }
  BOOST_TEST(refusals > 70);
  BOOST_TEST(store.heads == 100 - refusals);
}

BOOST_FIXTURE_TEST_CASE(a_key_that_no_form_can_have_is_a_bad_request, fixture) {
  c.key = "uploads/${filename}";
  for (const auto& key : {std::string("uploads/\0", 9), std::string("uploads/\xc3")})
    BOOST_TEST((refused({"media", key, std::nullopt}) == errc::bad_request));
}

BOOST_FIXTURE_TEST_CASE(an_event_completes_its_upload, event_fixture) {
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST((row().state == upload_state::completed));
  BOOST_TEST((row().completed_by == completion_source::event));
  BOOST_TEST(*row().size == 50u);
  BOOST_TEST(row().etag == "abc");
}

BOOST_FIXTURE_TEST_CASE(a_repeated_event_neither_asks_the_store_nor_confirms_again, event_fixture) {
  for (int i = 0; i < 3; ++i) BOOST_TEST((receive().value() == event_outcome::recorded));
  event.etag.clear();
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST(store.heads == 1);
  BOOST_TEST(ledger.confirmed == 1);
}

BOOST_FIXTURE_TEST_CASE(an_event_after_a_redirect_changes_nothing, event_fixture) {
  BOOST_TEST(complete({"media", c.key, "\"abc\""}).has_value());
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST((row().completed_by == completion_source::redirect));
  BOOST_TEST(store.heads == 1);
}

BOOST_FIXTURE_TEST_CASE(an_event_of_an_unknown_object_is_ignored, event_fixture) {
  auto other = event;
  event.created = false;
  BOOST_TEST(ignored());
  event = other, event.key = "elsewhere/without an id";
  BOOST_TEST(ignored());
  event = other, event.bucket = "other";
  BOOST_TEST(ignored());
  event = other, event.key = "elsewhere/" + c.id;
  BOOST_TEST(ignored());
  BOOST_TEST(store.heads == 2); // of names that the ledger does not know
  // An object that carries the id of an upload which has another key.
  store.objects["media/elsewhere/" + c.id] = mine();
  BOOST_TEST(ignored());
  BOOST_TEST((row().state == upload_state::issued));
}

BOOST_FIXTURE_TEST_CASE(an_upload_without_a_row_is_rebuilt_from_its_object, event_fixture) {
  ledger.rows.clear();
  mine().meta.user.emplace_back("album", "7");
  store.broken = failure(errc::unavailable, "no answer");
  BOOST_TEST((receive().error().code ==
              errc::unavailable)); // the sender must retry, because the sweep skips completed uploads
  BOOST_TEST(silent.contains(event.bucket));
  store.broken.reset();
  silent.clear();
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST((row().state == upload_state::completed));
  BOOST_TEST(row().key == c.key);
  BOOST_TEST((row().created_at == time_of_uuid_v7(c.id)));
  BOOST_TEST((row().metadata == std::vector<std::pair<std::string, std::string>>{{"album", "7"}}));
  // Unless the ledger has deleted the upload, or never had it.
  ledger.rows.clear();
  ledger.confirmed = 0;
  const auto age = now - time_of_uuid_v7(c.id);
  completer forgetful{own, store, ledger, recording, age - std::chrono::minutes(1)};
  BOOST_TEST((test::run_task(forgetful.complete_by_event(event, now, silent)).value() == event_outcome::ignored));
  mine().meta.user.clear();
  BOOST_TEST(ignored());
  BOOST_TEST(ledger.rows.empty());
}

BOOST_FIXTURE_TEST_CASE(an_object_that_replaces_a_completed_one_is_an_overwrite, event_fixture) {
  BOOST_TEST((receive().value() == event_outcome::recorded));
  mine().meta.user.clear();
  mine().size = 101;
  mine().etag = event.etag = "new";
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST(row().overwritten_etag == "new");
}

// The same form was posted twice. The nodes report in any order; the store knows which object came last.
BOOST_FIXTURE_TEST_CASE(the_object_that_the_store_has_has_overwritten_the_other, event_fixture) {
  const auto confirm = [&](const char* etag) {
    auto seen = mine();
    seen.etag = etag;
    return test::run_task(recording.record(upload_of(c, c.key), seen, completion_source::fallback, now)).value();
  };
  mine().etag = "second";
  BOOST_TEST(confirm("second").etag == "second");
  BOOST_TEST(confirm("first").overwritten_etag.empty()); // it was overwritten before anybody heard of it
  mine().etag = "third";
  BOOST_TEST(confirm("first").overwritten_etag == "third");
  BOOST_TEST(row().etag == "second");
}

// Otherwise one claim, repeated, would cost the store a request each time.
BOOST_FIXTURE_TEST_CASE(redirects_at_once_share_a_question, fixture) {
  store.objects.clear();
  const auto many = [&]() -> task<> {
    group asking(co_await asio::this_coro::executor);
    const auto one = [&]() -> task<> {
      auto done = co_await completions.complete_by_redirect(own.sign_claim(c), {}, "", now);
      BOOST_TEST((!done && done.error().code == errc::object_absent));
    };
    for (int n = 0; n < 100; ++n) asking.start(one());
    co_await asking.wait(std::chrono::seconds(10));
  };
  test::run_task(many());
  BOOST_TEST(store.heads == 2); // the first call does not wait for the others
}

BOOST_FIXTURE_TEST_CASE(an_event_for_another_object_is_ignored, event_fixture) {
  mine().size = 101;
  BOOST_TEST(ignored());
  mine().size = 50;
  mine().meta.user.front().second = "01a20a86-41d4-7ac8-8ecb-000000000000";
  BOOST_TEST(ignored());
  mine().meta.user.clear();
  BOOST_TEST(ignored());
  store.objects.clear();
  BOOST_TEST(ignored());
  BOOST_TEST((row().state == upload_state::issued));
  BOOST_TEST(store.heads == 4);
}

BOOST_FIXTURE_TEST_CASE(the_upload_is_found_among_other_ids_in_the_key, event_fixture) {
  const std::string user = "0193e7a1-0000-7000-8000-000000000001";
  c.key = "users/" + user + "/" + c.id + "/a b";
  ledger.rows.clear();
  ledger.issue(upload_of(c, c.key));
  auto of_user = upload_of(c, "somewhere/else");
  of_user.id = user;
  ledger.issue(of_user);
  store.objects[c.bucket + "/" + c.key] = object();
  event.key = c.key;
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST((row().state == upload_state::completed));
}

BOOST_FIXTURE_TEST_CASE(a_form_without_a_file_name_is_completed_under_the_name_that_was_used, event_fixture) {
  ledger.rows.at(c.id).key = "uploads/" + c.id + "/${filename}";
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST(row().key == c.key);
}

BOOST_FIXTURE_TEST_CASE(an_event_with_another_etag_of_a_completed_upload_asks_the_store, event_fixture) {
  BOOST_TEST((receive().value() == event_outcome::recorded));
  mine().etag = "new";
  event.etag = "new";
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST(store.heads == 3); // once more, before the overwrite is recorded
  BOOST_TEST(ledger.confirmed == 3);
  BOOST_TEST(ledger.last.etag == "new");
  BOOST_TEST((ledger.last.by == completion_source::event));
  // A late event of the earlier object: the store has the newer one.
  event.etag = "older";
  BOOST_TEST((receive().value() == event_outcome::recorded));
  BOOST_TEST(ledger.last.etag == "new");
}

BOOST_FIXTURE_TEST_CASE(an_event_is_rejected_while_the_ledger_is_broken, event_fixture) {
  ledger.broken = failure(errc::ledger_failed, "disk full");
  BOOST_TEST((receive().error().code == errc::ledger_failed));
}

BOOST_FIXTURE_TEST_CASE(an_event_is_pending_while_the_store_is_unreachable, event_fixture) {
  store.broken = failure(errc::unavailable, "no answer");
  BOOST_TEST((receive().value() == event_outcome::pending));
  BOOST_TEST((ledger.checks.at(c.id) == now));
  BOOST_TEST(ledger.confirmed == 0);
  // The next event of the same message does not wait for it.
  BOOST_TEST(silent.contains(event.bucket));
  BOOST_TEST((receive().value() == event_outcome::pending));
  BOOST_TEST(store.heads == 1);
  store.broken.reset();
  silent.clear();
  BOOST_TEST((receive().value() == event_outcome::recorded));
  // The sweep skips completed uploads, so the sender must retry.
  store.broken = failure(errc::unavailable, "no answer");
  event.etag = "new";
  BOOST_TEST((receive().error().code == errc::unavailable));
  BOOST_TEST(silent.contains(event.bucket));
}

BOOST_FIXTURE_TEST_CASE(an_event_of_a_replaced_object_is_pending, event_fixture) {
  mine().etag = "new";
  BOOST_TEST((receive().value() == event_outcome::pending));
  BOOST_TEST(ledger.checks.contains(c.id));
  BOOST_TEST(ledger.confirmed == 0);
  event.etag = "new";
  BOOST_TEST((receive().value() == event_outcome::recorded));
}
