#include "support/fake_body.hpp"
#include "support/fake_kept.hpp"
#include "support/fake_parts.hpp"
#include "support/run_task.hpp"
#include "support/test_share.hpp"
#include <postern/base/encoding.hpp>
#include <postern/flow/resume/resumable_uploads.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

form_store known_store() {
  form_store s;
  s.credentials = [] {
    return std::make_shared<const held_credentials>(held_credentials{{"AKIA", secret("key"), {}}, {}, "test"});
  };
  return s;
}

std::map<std::string, profile> some_profiles() {
  std::map<std::string, profile> all;
  for (const auto* name : {"default", "forms_only"}) {
    auto& p = all[name];
    p.name = name;
    p.bucket = "media";
    p.max_size = 1 << 20;
    p.expires = 900s;
  }
  all.at("forms_only").ways = {upload_way::form};
  return all;
}

struct fixture {
  millis_clock now{1'700'000'000s};
  test::fake_store store;
  test::fake_kept kept{store};
  test::fake_parts parts{store};
  test::fake_ledger ledger;
  const signer own{{secret("a secret for the tests only")}};
  const std::map<std::string, profile> profiles = some_profiles();
  form_signer forms{{profiles, "https://up.example.com", only(known_store(), "media")}, own};
  form_issuer issuer{forms, ledger};
  const recorder recording{ledger, store, profiles};
  completer completions{own, store, ledger, recording};
  transfers running{store, ledger, recording, [this] { return now; }};
  resumable_uploads uploads{
      {profiles, "https://up.example.com", only(known_store(), "media"), 24h, [this] { return now; }},
      own,
      issuer,
      store,
      ledger,
      running,
      completions};
  test::test_share memory;

  upload create(std::optional<std::uint64_t> size, const std::string& profile = "default") {
    sign_request ask;
    ask.filename = "a.bin";
    ask.profile = profile;
    ask.size = size;
    caller who;
    return test::run_task(uploads.create(ask, who)).value().row;
  }
  append_outcome append(const std::string& id, std::uint64_t offset, test::fake_body& body,
                        std::optional<std::uint64_t> length = {}, checksums expected = {}) {
    append_request what;
    what.offset = offset;
    what.length = length;
    what.announced = body.announces;
    return test::run_task(uploads.append(id, what, {body, memory.own, std::move(expected)}));
  }
  append_outcome append(const std::string& id, std::uint64_t offset, std::string bytes) {
    test::fake_body body(std::move(bytes));
    return append(id, offset, body);
  }
  std::uint64_t offset_of(const std::string& id) { return test::run_task(uploads.find(id)).value().state.offset; }
};

checksums sha1_of(std::string_view of) {
  static const std::string right = "qvTGHdzF6KLavt4PO0gs2a6pQ00="; // of "hello"
  return checksums::read({checksum_field("sha1", of == "hello" ? right : "AAAAAAAAAAAAAAAAAAAAAAAAAAA=").value()})
      .value();
}

} // namespace

BOOST_FIXTURE_TEST_CASE(a_file_comes_in_three_requests, fixture) {
  const auto u = create(9);
  BOOST_TEST(offset_of(u.id) == 0u);
  BOOST_TEST(kept.begins == 0);
  for (std::uint64_t at : {0, 3, 6}) {
    const auto out = append(u.id, at, std::string("abcdefghi").substr(at, 3));
    BOOST_TEST_REQUIRE(out.how.has_value());
    BOOST_TEST(out.now_at.value().state.offset == at + 3);
    BOOST_TEST(ledger.multiparts.count(u.id) == (at < 6 ? 1u : 0u));
  }
  BOOST_TEST(store.contents.at("media/" + u.key) == "abcdefghi");
  BOOST_TEST((ledger.last.by == completion_source::fallback && ledger.last.way == upload_way::resumable));
  BOOST_TEST(kept.begins == 1);
  BOOST_TEST(memory.shared.memory_taken() == 0u);
}

BOOST_FIXTURE_TEST_CASE(what_arrived_before_a_break_is_kept, fixture) {
  const auto u = create(5000);
  test::fake_body body(std::string(5000, 'x'));
  body.piece = 100;
  body.breaks_at = 1234;
  const auto out = append(u.id, 0, body);
  BOOST_TEST((out.how.error().code == errc::incomplete_body));
  BOOST_TEST(out.now_at.value().state.offset == 1234u);
  BOOST_TEST(offset_of(u.id) == 1234u);
  BOOST_TEST(append(u.id, 1234, std::string(5000 - 1234, 'x')).how.has_value());
}

BOOST_FIXTURE_TEST_CASE(another_offset_is_a_conflict_that_says_the_right_one, fixture) {
  const auto u = create(10);
  BOOST_TEST(append(u.id, 0, "abc").how.has_value());
  const auto out = append(u.id, 5, "x");
  BOOST_TEST((out.how.error().code == errc::conflict));
  BOOST_TEST(out.now_at.value().state.offset == 3u);
  BOOST_TEST(ledger.multiparts.at(u.id).holder.empty());
}

BOOST_FIXTURE_TEST_CASE(a_body_with_another_checksum_is_dropped_as_a_whole, fixture) {
  const auto u = create(10);
  BOOST_TEST(append(u.id, 0, "01").how.has_value());
  test::fake_body wrong("hello"), right("hello");
  const auto out = append(u.id, 2, wrong, {}, sha1_of("other"));
  BOOST_TEST((out.how.error().code == errc::bad_digest));
  BOOST_TEST(out.now_at.value().state.offset == 2u);
  BOOST_TEST(append(u.id, 2, right, {}, sha1_of("hello")).now_at.value().state.offset == 7u);
}

BOOST_FIXTURE_TEST_CASE(a_length_is_declared_later, fixture) {
  const auto u = create({});
  BOOST_TEST(append(u.id, 0, "abc").how.has_value());
  BOOST_TEST(!test::run_task(uploads.find(u.id)).value().state.length);
  test::fake_body more("de");
  BOOST_TEST(append(u.id, 3, more, 6).how.has_value());
  BOOST_TEST((test::run_task(uploads.find(u.id)).value().state.length == 6u));
  test::fake_body other("x");
  BOOST_TEST((append(u.id, 5, other, 7).how.error().code == errc::bad_request));
  BOOST_TEST(append(u.id, 5, "f").now_at.value().state.is_complete);
}

BOOST_FIXTURE_TEST_CASE(a_completion_that_failed_is_tried_again_by_the_next_question, fixture) {
  const auto u = create(4);
  BOOST_TEST(append(u.id, 0, "ab").how.has_value());
  kept.refuses_to_finish = failure(errc::unavailable, "the store");
  const auto out = append(u.id, 2, "cd");
  BOOST_TEST((out.how.error().code == errc::unavailable));
  BOOST_TEST(out.now_at.value().state.offset == 2u); // what was not kept comes again
  kept.refuses_to_finish.reset();
  BOOST_TEST(append(u.id, 2, "cd").now_at.value().state.is_complete);

  const auto whole = create(0);
  ledger.multiparts.clear();
  kept.refuses_to_finish = failure(errc::unavailable, "the store");
  BOOST_TEST((append(whole.id, 0, "").how.error().code == errc::unavailable));
  BOOST_TEST((test::run_task(uploads.find(whole.id)).error().code == errc::unavailable)); // not: 0 of 0 bytes are there
  kept.refuses_to_finish.reset();
  BOOST_TEST(test::run_task(uploads.find(whole.id)).value().state.is_complete);
}

BOOST_FIXTURE_TEST_CASE(the_answer_of_the_store_to_the_completion_is_lost, fixture) {
  const auto u = create(4);
  kept.loses_answer_of_finish = true;
  BOOST_TEST(!append(u.id, 0, "abcd").how.has_value());
  kept.loses_answer_of_finish = false;
  BOOST_TEST(append(u.id, 0, "abcd").now_at.value().state.is_complete);
  BOOST_TEST(kept.begins == 1);
}

BOOST_FIXTURE_TEST_CASE(what_the_store_has_lost_begins_anew, fixture) {
  const auto u = create(4);
  BOOST_TEST(append(u.id, 0, "ab").how.has_value());
  kept.uploads.clear();
  BOOST_TEST((append(u.id, 2, "cd").how.error().code == errc::store_failed));
  BOOST_TEST(offset_of(u.id) == 0u);
  BOOST_TEST(append(u.id, 0, "abcd").now_at.value().state.is_complete);
}

BOOST_FIXTURE_TEST_CASE(a_write_that_fails_keeps_what_was_written, fixture) {
  const auto u = create(5000);
  kept.fails_at_write = 3;
  test::fake_body body(std::string(5000, 'x'));
  body.piece = 100;
  const auto out = append(u.id, 0, body);
  BOOST_TEST((out.how.error().code == errc::store_failed));
  const auto at = out.now_at.value().state.offset;
  BOOST_TEST((at > 0 && at < 5000));
  BOOST_TEST(append(u.id, at, std::string(5000 - at, 'x')).now_at.value().state.is_complete);
}

BOOST_FIXTURE_TEST_CASE(a_body_with_a_checksum_that_breaks_off_is_dropped_as_a_whole, fixture) {
  const auto u = create(10);
  BOOST_TEST(append(u.id, 0, "01").how.has_value());
  test::fake_body body("hello");
  body.piece = 1;
  body.breaks_at = 3;
  const auto out = append(u.id, 2, body, {}, sha1_of("hello"));
  BOOST_TEST((out.how.error().code == errc::incomplete_body));
  BOOST_TEST(out.now_at.value().state.offset == 2u);
}

// Another process may have gone on with the upload.
BOOST_FIXTURE_TEST_CASE(a_process_that_was_frozen_for_longer_than_its_turn_writes_nothing, fixture) {
  const auto u = create(10);
  BOOST_TEST(append(u.id, 0, "ab").how.has_value());
  test::fake_body body("cdefghij");
  body.piece = 4;
  body.on_read = [&] {
    if (body.taken == 4) now += turns::lease;
  };
  const auto out = append(u.id, 2, body);
  BOOST_TEST((out.how.error().code == errc::conflict));
  BOOST_TEST(kept.uploads.at("kept 1") == "abcdef");
  BOOST_TEST(offset_of(u.id) == 2u);
}

BOOST_FIXTURE_TEST_CASE(the_object_of_another_way_is_not_taken_for_this_one, fixture) {
  for (const bool is_recorded : {true, false}) {
    const auto u = create(4);
    BOOST_TEST(append(u.id, 0, "ab").how.has_value());
    test::fake_body body("cd");
    body.on_read = [&] { // meanwhile its form is posted, and what was kept is given up
      stored_object form;
      form.size = 4;
      form.etag = "form";
      form.meta.user.emplace_back("postern-id", u.id);
      store.objects["media/" + u.key] = form;
      kept.refuses_to_finish = failure(errc::object_absent, "discarded");
      if (is_recorded) ledger.rows.at(u.id).state = upload_state::completed;
    };
    BOOST_TEST((append(u.id, 2, body).how.error().code == errc::conflict));
    BOOST_TEST(store.objects.at("media/" + u.key).etag == "form");
    if (is_recorded) BOOST_TEST((ledger.multiparts.at(u.id).due_at == now));
    kept.refuses_to_finish.reset();
  }
}

BOOST_FIXTURE_TEST_CASE(what_is_left_beside_the_object_is_removed_after_the_completion_is_recorded, fixture) {
  const auto u = create(4);
  ledger.refuses_confirm = true;
  BOOST_TEST(!append(u.id, 0, "abcd").how.has_value());
  BOOST_TEST(kept.discarded.empty());
  ledger.refuses_confirm = false;
  BOOST_TEST(append(u.id, 0, "abcd").now_at.value().state.is_complete);
  BOOST_TEST((kept.discarded == std::vector<std::string>{"kept 1"}));
}

BOOST_FIXTURE_TEST_CASE(removing_it_removes_direct_parts_too, fixture) {
  const auto u = create(4);
  store.parts = &parts;
  open_multipart direct;
  direct.id = u.id;
  direct.name = {u.bucket, u.key};
  direct.way = upload_way::multipart;
  direct.store_id = "upload 1";
  parts.uploads["upload 1"].name = direct.name;
  ledger.multiparts[u.id] = direct;
  BOOST_TEST(test::run_task(uploads.remove(u.id)).has_value());
  BOOST_TEST((parts.uploads.empty() && ledger.multiparts.empty()));
}

BOOST_FIXTURE_TEST_CASE(removed_it_is_gone, fixture) {
  const auto u = create(10);
  BOOST_TEST(append(u.id, 0, "abc").how.has_value());
  BOOST_TEST(test::run_task(uploads.remove(u.id)).has_value());
  BOOST_TEST((kept.discarded == std::vector<std::string>{"kept 1"}));
  BOOST_TEST(ledger.multiparts.empty());
  BOOST_TEST((ledger.rows.at(u.id).state == upload_state::failed));
  BOOST_TEST((test::run_task(uploads.find(u.id)).error().code == errc::not_found));
  BOOST_TEST((append(u.id, 3, "x").how.error().code == errc::not_found));
  BOOST_TEST((test::run_task(uploads.remove(u.id)).error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(parts_that_went_straight_to_the_store_are_given_up, fixture) {
  const auto u = create(4);
  store.parts = &parts;
  open_multipart direct;
  direct.id = u.id;
  direct.name = {u.bucket, u.key};
  direct.way = upload_way::multipart;
  direct.store_id = "upload 1";
  parts.uploads["upload 1"].name = direct.name;
  ledger.multiparts[u.id] = direct;
  BOOST_TEST(offset_of(u.id) == 0u);
  BOOST_TEST(append(u.id, 0, "abcd").now_at.value().state.is_complete);
  BOOST_TEST(parts.uploads.empty());
}

BOOST_FIXTURE_TEST_CASE(an_upload_that_was_abandoned_is_gone, fixture) {
  const auto u = create(4);
  BOOST_TEST(append(u.id, 0, "ab").how.has_value());
  now += 25h;
  BOOST_TEST((test::run_task(uploads.find(u.id)).error().code == errc::not_found));
  const auto unused = create(4);
  now += 901s;
  BOOST_TEST((test::run_task(uploads.find(unused.id)).error().code == errc::not_found));
}

BOOST_FIXTURE_TEST_CASE(uploads_that_are_not_taken, fixture) {
  sign_request ask;
  ask.filename = "a";
  ask.size = 4;
  ask.profile = "forms_only";
  BOOST_TEST((test::run_task(uploads.create(ask, {})).error().code == errc::forbidden));
  ask.profile = "default";
  kept.max_size = 3;
  BOOST_TEST((test::run_task(uploads.create(ask, {})).error().code == errc::payload_too_large));
  store.keeps = nullptr;
  BOOST_TEST((test::run_task(uploads.create(ask, {})).error().code == errc::forbidden));
}

BOOST_FIXTURE_TEST_CASE(the_url_holds_the_token_and_stays_the_same, fixture) {
  const auto u = create(4);
  const auto url = uploads.url_of(u);
  BOOST_TEST(url.starts_with("https://up.example.com/v1/files/"));
  const auto token = url.substr(url.rfind('/') + 1);
  BOOST_TEST(uploads.id_of(token).value() == u.id);
  now += 24h;
  BOOST_TEST(uploads.url_of(u) == url);
  BOOST_TEST((uploads.id_of(token + "x").error().code == errc::not_found));
  now += 7 * 24h;
  BOOST_TEST((uploads.id_of(token).error().code == errc::not_found));
}
