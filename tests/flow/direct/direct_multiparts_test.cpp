#include "support/fake_parts.hpp"
#include "support/run_task.hpp"
#include <postern/base/uuid.hpp>
#include <postern/flow/direct/abandoned_multiparts.hpp>
#include <postern/flow/direct/direct_multiparts.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t size = 40 << 20; // three parts

struct fixture {
  millis_clock now{1'000'000'000s};
  test::fake_store store;
  test::fake_parts parts{store};
  test::fake_ledger ledger;
  const signer own{{secret("a secret for the tests only")}};
  std::map<std::string, profile> profiles{{"default", profile{}}};
  store_abilities can = assumed_abilities;
  const recorder recording{ledger, store, profiles};
  completer completions{own, store, ledger, recording};
  std::string id = "01a20a86-41d4-7ac8-8ecb-000000000010";

  fixture() {
    store.parts = &parts;
    store.signs = &parts;
    profiles.at("default").name = "default";
    upload u;
    u.id = id;
    u.profile = "default";
    u.bucket = "media";
    u.key = "uploads/" + id + "/a";
    u.min_size = u.max_size = size;
    u.content_type = "image/png";
    u.created_at = now;
    u.expires_at = now + 15min;
    ledger.issue(u);
  }
  direct_multiparts made() {
    form_store known;
    known.abilities = [this] { return can; };
    return {{profiles, only(known, "media"), 24h}, own, store, ledger, completions};
  }
  result<signed_parts> sign(std::vector<asked_part> asked) {
    auto m = made();
    return test::run_task(m.sign(id, std::move(asked), now));
  }
  result<upload> complete(std::map<int, std::string> etags = {}) {
    auto m = made();
    return test::run_task(m.complete(id, std::move(etags), now));
  }
  result<upload> abort() {
    auto m = made();
    return test::run_task(m.abort(id, now));
  }
  result<listed_parts> list() {
    auto m = made();
    return test::run_task(m.list(id, now));
  }
  // As if the client had sent them.
  void send_all() {
    const auto plan = plan_multipart(size);
    for (int n = 1; n <= plan.count(); ++n)
      parts.uploads.begin()->second.parts.push_back({n, "e" + std::to_string(n), plan.length(n), std::nullopt});
  }
};

} // namespace

BOOST_FIXTURE_TEST_CASE(the_first_call_begins_one_upload_and_later_ones_go_on, fixture) {
  const auto made = sign({{1, {}}, {3, {}}}).value();
  BOOST_TEST(parts.begins == 1);
  BOOST_REQUIRE(made.parts.size() == 2);
  BOOST_TEST((made.parts[1].number == 3 && made.parts[1].at.url == "https://s3/?upload 1&3"));
  BOOST_TEST((parts.signed_with[0].size == 16u << 20 && parts.signed_with[1].size == 8u << 20));
  BOOST_TEST(own.read_upload_token(made.token, std::chrono::floor<std::chrono::seconds>(now + 23h)).value() == id);
  const auto& m = ledger.multiparts.at(id);
  BOOST_TEST((m.store_id == "upload 1" && m.due_at == now + 24h && m.bytes == size));
  BOOST_TEST((content_type_of(parts.uploads.at("upload 1").meta) == "image/png"));
  BOOST_TEST((upload_id_of(parts.uploads.at("upload 1").meta) == id));
  now += 5h;
  BOOST_TEST(sign({{2, {}}}).has_value());
  BOOST_TEST((parts.begins == 1 && ledger.multiparts.at(id).due_at == now + 24h));
}

BOOST_FIXTURE_TEST_CASE(of_two_first_calls_at_once_one_begins, fixture) {
  // Another node has recorded its own while this one asked the store.
  parts.before_begin_ends = [this] {
    ledger.multiparts.at(id).store_id = "theirs";
    parts.uploads["theirs"] = {{"media", "uploads/" + id + "/a"}, {}, false, {}};
  };
  const auto made = sign({{1, {}}}).value();
  BOOST_TEST(made.parts[0].at.url == "https://s3/?theirs&1");
  BOOST_TEST((parts.uploads.size() == 1 && parts.uploads.contains("theirs")));
}

BOOST_FIXTURE_TEST_CASE(what_a_dead_node_began_and_did_not_record_is_aborted_at_the_end, fixture) {
  open_multipart m;
  m.id = id;
  m.name = {"media", "uploads/" + id + "/a"};
  m.plan = plan_multipart(size);
  m.created_at = now - 2min;
  ledger.multiparts[id] = m;
  parts.uploads["lost"] = {m.name, {}, false, {}};
  BOOST_TEST(sign({{1, {}}}).has_value());
  BOOST_TEST((parts.uploads.contains("lost") && parts.uploads.contains("upload 1")));
  BOOST_TEST(abort().has_value());
  BOOST_TEST((parts.uploads.empty() && ledger.multiparts.empty()));
}

// While an abort runs, the client begins anew.
BOOST_FIXTURE_TEST_CASE(an_abort_leaves_alone_what_was_begun_meanwhile, fixture) {
  BOOST_TEST(sign({{1, {}}}).has_value());
  parts.before_abort_ends = [this] { ledger.multiparts.at(id).store_id = "begun anew"; };
  BOOST_TEST(abort().has_value());
  BOOST_TEST(ledger.multiparts.at(id).store_id == "begun anew");
}

// Aborted by its key, it would be recorded all the same.
BOOST_FIXTURE_TEST_CASE(what_another_call_is_just_beginning_is_aborted_later, fixture) {
  parts.before_begin_ends = [this] {
    parts.before_begin_ends = nullptr;
    BOOST_TEST(abort().has_value());
  };
  BOOST_TEST(sign({{1, {}}}).has_value());
  BOOST_TEST((parts.uploads.size() == 1 && ledger.multiparts.at(id).store_id == "upload 1"));
  BOOST_TEST((ledger.multiparts.at(id).due_at == now + max_beginning));
}

// Signing writes behind, and this is another node.
BOOST_FIXTURE_TEST_CASE(a_row_that_comes_a_moment_later_is_waited_for, fixture) {
  auto late = ledger.rows.extract(id);
  now = time_of_uuid_v7(id) + 1s;
  late.mapped().expires_at = now + 15min;
  late.mapped().created_at = now;
  auto m = made();
  asio::io_context loop;
  group tasks(loop.get_executor());
  const auto come = [&]() -> task<> {
    timer pause(co_await asio::this_coro::executor, 80ms);
    co_await pause.async_wait(use_task);
    ledger.rows.insert(std::move(late));
  };
  bool is_signed = false;
  const auto ask = [&]() -> task<> {
    auto made_parts = co_await m.sign(id, {{1, {}}}, now);
    is_signed = made_parts.has_value();
  };
  tasks.start(come());
  tasks.start(ask());
  loop.run();
  BOOST_TEST(is_signed);
}

// Then their row stays until they are looked for again.
BOOST_FIXTURE_TEST_CASE(leftovers_beside_another_beginning_are_not_forgotten, fixture) {
  BOOST_TEST(sign({{1, {}}}).has_value());
  send_all();
  auto fallback = ledger.multiparts.at(id);
  fallback.id = "of a fallback upload";
  fallback.store_id.clear();
  ledger.multiparts[fallback.id] = fallback;
  BOOST_TEST(complete().has_value());
  BOOST_TEST((ledger.multiparts.contains(id) && ledger.multiparts.at(id).due_at == now));
}

BOOST_FIXTURE_TEST_CASE(a_week_after_its_signing_an_upload_takes_no_parts, fixture) {
  for (; now < ledger.rows.at(id).created_at + 7 * 24h - 1min; now += 23h) BOOST_TEST(sign({{1, {}}}).has_value());
  BOOST_TEST((ledger.multiparts.at(id).due_at == ledger.rows.at(id).created_at + 7 * 24h));
  now = ledger.rows.at(id).created_at + 7 * 24h;
  BOOST_TEST((sign({{1, {}}}).error().code == errc::conflict));
}

BOOST_FIXTURE_TEST_CASE(checksums_of_parts_are_all_or_none, fixture) {
  can.checks_whole_object = true;
  BOOST_TEST(sign({{1, 7u}, {2, 8u}}).value().needs_checksums);
  BOOST_TEST(list().value().needs_checksums);
  BOOST_TEST(parts.uploads.at("upload 1").has_checksums);
  BOOST_TEST(parts.signed_with[0].headers.at(0).first == "x-amz-checksum-crc32c");
  const auto without = sign({{3, {}}});
  BOOST_TEST((without.error().code == errc::bad_request));
  BOOST_TEST(without.error().on.find("the checksum of part 3 is missing") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_store_that_verifies_nothing_gets_no_checksums, fixture) {
  BOOST_TEST(sign({{1, 7u}}).has_value());
  BOOST_TEST((!parts.uploads.at("upload 1").has_checksums && parts.signed_with[0].headers.empty()));
}

// Then the size of a part counts when the upload is completed.
BOOST_FIXTURE_TEST_CASE(where_browsers_cannot_send_signed_headers_a_url_signs_none, fixture) {
  can.checks_whole_object = true;
  can.preflights_signed_headers = false;
  BOOST_TEST(sign({{1, 7u}}).has_value());
  BOOST_TEST((!parts.signed_with[0].size && parts.signed_with[0].headers.empty()));
}

BOOST_FIXTURE_TEST_CASE(all_parts_make_the_object_once, fixture) {
  BOOST_TEST(sign({{1, {}}}).has_value());
  BOOST_TEST((complete().error().code == errc::conflict)); // part 1 is missing
  send_all();
  BOOST_TEST(list().value().parts.size() == 3);
  BOOST_TEST((complete({{1, "e1"}}).error().code == errc::conflict));
  BOOST_TEST((complete({{1, "e1"}, {2, "e2"}, {3, "x"}}).error().code == errc::conflict));
  BOOST_TEST((complete({{1, "e1"}, {2, "e2"}, {3, "e3"}, {4, "e4"}}).error().code == errc::conflict));
  BOOST_TEST(parts.completes == 0);
  const auto done = complete({{1, "e1"}, {2, "e2"}, {3, "e3"}}).value();
  BOOST_TEST((done.state == upload_state::completed && done.size == size));
  BOOST_TEST(ledger.multiparts.empty());
  BOOST_TEST((ledger.last.way == upload_way::multipart && ledger.last.by == completion_source::redirect));
  BOOST_TEST((complete().value().state == upload_state::completed && parts.completes == 1));
  BOOST_TEST((abort().error().code == errc::conflict && sign({{1, {}}}).error().code == errc::conflict));
}

BOOST_FIXTURE_TEST_CASE(the_checksum_of_the_whole_follows_from_those_of_the_parts, fixture) {
  can.checks_whole_object = can.takes_if_none_match = true;
  BOOST_TEST(sign({{1, 1u}}).has_value());
  send_all();
  auto& sent = parts.uploads.begin()->second.parts;
  std::uint32_t whole = 0;
  for (auto& part : sent) {
    part.crc32c = 1000u + static_cast<unsigned>(part.number);
    whole = crc32c_of_both(whole, *part.crc32c, part.size);
  }
  BOOST_TEST(complete().has_value());
  BOOST_TEST((parts.rules.crc32c == whole && parts.rules.never_overwrite));
}

BOOST_FIXTURE_TEST_CASE(an_object_of_another_upload_is_not_taken_for_the_own, fixture) {
  BOOST_TEST(sign({{1, {}}}).has_value());
  send_all();
  parts.refuses_to_complete = failure(errc::conflict, "PreconditionFailed");
  stored_object other;
  other.size = size;
  other.meta.user.emplace_back("postern-id", "01a20a86-41d4-7ac8-8ecb-000000000099");
  store.objects["media/uploads/" + id + "/a"] = other;
  BOOST_TEST((complete().error().code == errc::conflict));
  BOOST_TEST((ledger.rows.at(id).state == upload_state::receiving));
}

BOOST_FIXTURE_TEST_CASE(a_completion_whose_answer_was_lost_is_found, fixture) {
  BOOST_TEST(sign({{1, {}}}).has_value());
  send_all();
  auto there = store.objects["media/uploads/" + id + "/a"];
  there.size = size;
  there.etag = "of parts";
  there.meta = parts.uploads.begin()->second.meta;
  store.objects["media/uploads/" + id + "/a"] = there;
  parts.uploads.clear();
  BOOST_TEST((list().error().code == errc::conflict && ledger.rows.at(id).state == upload_state::completed));
  BOOST_TEST((complete().value().state == upload_state::completed));
}

// Its parts are not left in the store.
BOOST_FIXTURE_TEST_CASE(an_upload_that_came_by_another_way_gives_its_parts_up, fixture) {
  BOOST_TEST(sign({{1, {}}}).has_value());
  stored_object form;
  form.size = size;
  form.etag = "of the form";
  form.meta = parts.uploads.begin()->second.meta;
  store.objects["media/uploads/" + id + "/a"] = form;
  BOOST_TEST((complete().value().state == upload_state::completed));
  BOOST_TEST((ledger.multiparts.at(id).due_at == now));
}

BOOST_FIXTURE_TEST_CASE(parts_that_are_given_up_are_deleted, fixture) {
  BOOST_TEST(abort().has_value()); // there are none yet
  BOOST_TEST(sign({{1, {}}}).has_value());
  BOOST_TEST(abort().has_value());
  BOOST_TEST((parts.uploads.empty() && ledger.multiparts.empty()));
  BOOST_TEST(list().value().parts.empty());
  parts.broken = failure(errc::unavailable, "no answer");
  BOOST_TEST((sign({{1, {}}}).error().code == errc::unavailable));
}

BOOST_FIXTURE_TEST_CASE(what_cannot_be_sent_in_parts_is_refused_with_a_reason, fixture) {
  BOOST_TEST((sign({{4, {}}}).error().code == errc::bad_request));
  ledger.rows.at(id).min_size = 0;
  BOOST_TEST(sign({{1, {}}}).error().on.find("without size") != std::string::npos);
  ledger.rows.at(id).min_size = size;
  profiles.at("default").ways = {upload_way::form};
  BOOST_TEST((sign({{1, {}}}).error().code == errc::conflict));
  profiles.at("default").ways = {upload_way::multipart};
  store.parts = nullptr;
  BOOST_TEST((sign({{1, {}}}).error().code == errc::conflict));
  ledger.rows.clear();
  BOOST_TEST((sign({{1, {}}}).error().code == errc::not_found));
}
