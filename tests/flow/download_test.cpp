#include "support/fakes.hpp"
#include "support/run_task.hpp"
#include "support/test_share.hpp"
#include <postern/flow/download.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace postern::test;

namespace {

const std::string id = "0193a6b8-0000-7000-8000-000000000001";

struct fixture {
  fixture() {
    upload u;
    u.id = id, u.profile = "default", u.user = "ann", u.bucket = "media", u.key = "k/cat.png";
    u.state = upload_state::completed, u.etag = "e", u.size = 200'000;
    ledger.rows.emplace(id, u);
    stored_object o;
    o.size = 200'000, o.etag = "e";
    o.meta.headers = {{"content-type", "image/png"}};
    store.objects["media/k/cat.png"] = o;
    for (std::size_t n = 0; n < o.size; ++n) bytes += static_cast<char>(n * 7 + n / 251);
    store.contents["media/k/cat.png"] = bytes;
  }
  fake_store store;
  fake_ledger ledger;
  const signer own{{secret("a secret for the tests only")}};
  static form_signer_options options() {
    form_signer_options o;
    o.profiles["default"].name = "default";
    o.profiles["default"].inline_types = {"image/*"};
    return o;
  }
  form_signer forms{options(), own};
  downloads files{store, ledger, forms};
  std::string bytes;
  test_share share;

  static caller reader(const std::string& user = "ann") {
    caller who;
    who.name = "app", who.user = user, who.profiles = {"*"}, who.rights = default_rights;
    return who;
  }
  result<download> find(caller who = reader(), const std::string& of = id) {
    return run_task(files.find(of, std::move(who)));
  }
  errc refusal(caller who = reader(), const std::string& of = id) {
    const auto found = find(std::move(who), of);
    BOOST_TEST_REQUIRE(!found.has_value());
    return found.error().code;
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(download_, fixture)

BOOST_AUTO_TEST_CASE(a_completed_upload_is_found_with_its_type_and_name) {
  const auto what = find().value();
  BOOST_TEST((what.name.bucket == "media" && what.name.key == "k/cat.png"));
  BOOST_TEST((what.etag == "e" && what.size == 200'000u));
  BOOST_TEST(what.as.content_type == "image/png");
  BOOST_TEST(what.as.content_disposition == "inline; filename=\"cat.png\"; filename*=UTF-8''cat.png");
}

BOOST_AUTO_TEST_CASE(the_profile_of_another_time_shows_nothing_in_the_browser) {
  ledger.rows[id].profile = "removed";
  BOOST_TEST(find().value().as.content_disposition.starts_with("attachment"));
}

BOOST_AUTO_TEST_CASE(only_callers_who_may_read_it_get_it) {
  BOOST_TEST((refusal(reader("bob")) == errc::forbidden));
  auto all = reader("bob");
  all.rights = caller_rights(caller_right::read) | caller_right::user;
  BOOST_TEST(find(all).has_value());
  auto signs = reader();
  signs.rights = caller_right::sign;
  BOOST_TEST((refusal(signs) == errc::forbidden));
  auto elsewhere = reader();
  elsewhere.profiles = {"other"};
  BOOST_TEST((refusal(elsewhere) == errc::forbidden));
}

BOOST_AUTO_TEST_CASE(only_a_completed_upload_has_a_file) {
  for (const auto state :
       {upload_state::issued, upload_state::receiving, upload_state::failed, upload_state::expired}) {
    ledger.rows[id].state = state;
    const auto refused = find();
    BOOST_TEST((!refused && refused.error().code == errc::conflict));
    BOOST_TEST(refused.error().on.find("is " + std::string(name_of(state))) != std::string::npos);
  }
  BOOST_TEST((refusal(reader(), "0193a6b8-0000-7000-8000-000000000002") == errc::not_found));
  BOOST_TEST((refusal(reader(), "nonsense") == errc::not_found));
  BOOST_TEST(store.heads == 0); // the store is not asked
}

BOOST_AUTO_TEST_CASE(a_replaced_or_removed_object_is_not_the_upload) {
  store.objects["media/k/cat.png"].etag = "f";
  BOOST_TEST((refusal() == errc::conflict));
  store.objects.clear();
  BOOST_TEST((refusal() == errc::object_absent));
  store.broken.emplace(errc::unavailable, "away");
  BOOST_TEST((refusal() == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(the_bytes_come_in_small_pieces) {
  const auto what = find().value();
  for (const char* range : {"", "bytes=0-0", "bytes=1-65536", "bytes=65536-", "bytes=-1"}) {
    const auto part = choose_range(range, what.size);
    auto reading = files.read(what, part, share.own);
    BOOST_TEST(run_step(reading.begin()).has_value());
    std::string got;
    for (;;) {
      const auto piece = run_step(reading.next()).value();
      BOOST_TEST(piece.size() <= download_bytes::piece_size);
      if (piece.empty()) break;
      got += piece;
    }
    BOOST_TEST((got == bytes.substr(part.first, part.length)), range);
    share.own.give_all_back();
  }
}

BOOST_AUTO_TEST_CASE(bytes_of_two_objects_are_never_mixed) {
  for (const bool is_removed : {false, true}) {
    store.objects["media/k/cat.png"].etag = "e";
    const auto what = find().value();
    auto reading = files.read(what, choose_range("", what.size), share.own);
    BOOST_TEST(run_step(reading.next()).value().size() == download_bytes::piece_size);
    store.objects["media/k/cat.png"].etag = "f";
    if (is_removed) store.objects.clear();
    const auto broken = run_step(reading.next());
    BOOST_TEST((!broken && broken.error().code == (is_removed ? errc::object_absent : errc::conflict)));
  }
}

// A store that has fewer bytes than it said must not make the rest of the body come from the next response.
BOOST_AUTO_TEST_CASE(a_short_object_is_a_failure) {
  store.contents["media/k/cat.png"].resize(100'000);
  const auto what = find().value();
  auto reading = files.read(what, choose_range("", what.size), share.own);
  BOOST_TEST(run_step(reading.next()).has_value());
  const auto broken = run_step(reading.next());
  BOOST_TEST((!broken && broken.error().code == errc::store_failed));
}

BOOST_AUTO_TEST_SUITE_END()
