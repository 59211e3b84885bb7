#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include <postern/flow/complete.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

namespace {

const signer own({secret("a secret for the tests only")});
const millis_clock now{std::chrono::milliseconds(1'795'457'700'123)};

struct fixture {
  test::fake_store store;
  test::fake_ledger ledger;
  completing completes{own, store, ledger};
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
  result<completed> complete(redirect_parameters said) {
    return test::run_task(completes.by_redirect(own.sign_claim(c), std::move(said), now));
  }
  result<completed> complete() { return complete({"media", "uploads/a b", "\"abc\""}); }
  errc refused(redirect_parameters said) {
    auto done = complete(std::move(said));
    return done ? errc::internal : done.error().code;
  }
  errc refused() { return refused({"media", "uploads/a b", "\"abc\""}); }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(an_object_that_is_there_becomes_completed, fixture) {
  const auto done = complete().value();
  BOOST_TEST((done.as.state == upload_state::completed));
  BOOST_TEST(*done.as.size == 50u);
  BOOST_TEST(done.as.etag == "abc");
  BOOST_TEST((done.as.completed_by == evidence::redirect));
  BOOST_TEST(!done.pending);
}

BOOST_FIXTURE_TEST_CASE(a_reload_asks_the_store_no_more, fixture) {
  (void)complete();
  const auto again = complete().value();
  BOOST_TEST((again.as.state == upload_state::completed));
  BOOST_TEST(store.heads == 1);
  BOOST_TEST(ledger.confirmed == 1);
}

BOOST_FIXTURE_TEST_CASE(the_claim_alone_is_enough, fixture) { BOOST_TEST(complete({}).has_value()); }

BOOST_FIXTURE_TEST_CASE(what_the_claim_does_not_say_is_refused, fixture) {
  BOOST_TEST((refused({"other", "uploads/a b", std::nullopt}) == errc::forbidden));
  BOOST_TEST((refused({"media", "uploads/other", std::nullopt}) == errc::forbidden));
  BOOST_TEST((test::run_task(completes.by_redirect("forged.token", {}, now)).error().code == errc::forbidden));
  c.expires = std::chrono::floor<std::chrono::seconds>(now);
  BOOST_TEST((refused() == errc::forbidden));
  BOOST_TEST(ledger.rows.empty());
}

BOOST_FIXTURE_TEST_CASE(an_object_that_is_another_is_a_conflict, fixture) {
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

BOOST_FIXTURE_TEST_CASE(nothing_there_is_said_so, fixture) {
  store.objects.clear();
  BOOST_TEST((refused() == errc::object_absent));
  BOOST_TEST(ledger.confirmed == 0);
}

BOOST_FIXTURE_TEST_CASE(a_store_that_cannot_be_asked_leaves_it_pending, fixture) {
  store.broken = failure(errc::unavailable, "no answer");
  const auto done = complete().value();
  BOOST_TEST(done.pending);
  BOOST_TEST(ledger.confirmed == 0);
}

BOOST_FIXTURE_TEST_CASE(a_ledger_that_cannot_write_promises_nothing, fixture) {
  ledger.broken = failure(errc::ledger_failed, "disk full");
  BOOST_TEST((refused() == errc::ledger_failed));
}

BOOST_FIXTURE_TEST_CASE(a_claim_with_an_open_name_takes_the_key_that_was_used, fixture) {
  c.key = "uploads/${filename}";
  BOOST_TEST(complete({"media", "uploads/a b", std::nullopt})->as.key == "uploads/a b");
  BOOST_TEST((refused({"media", "elsewhere/a b", std::nullopt}) == errc::forbidden));
  c.id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd5";
  BOOST_TEST((refused({"media", std::nullopt, std::nullopt}) == errc::bad_request));
}

BOOST_AUTO_TEST_CASE(an_etag_in_every_dress) {
  BOOST_TEST(bare_etag("\"a\"") == "a");
  BOOST_TEST(bare_etag("W/\"a\"") == "a");
  BOOST_TEST(bare_etag("a") == "a");
  BOOST_TEST(bare_etag("\"") == "\"");
}
