#include "support/fake_parts.hpp"
#include "support/run_task.hpp"
#include <postern/core/s3/policy.hpp>
#include <postern/flow/direct/ways.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>

using namespace postern;

namespace {

const std::vector<upload_way> all{upload_way::form, upload_way::put, upload_way::multipart, upload_way::resumable,
                                  upload_way::fallback};

struct fixture {
  test::fake_store store;
  test::fake_parts parts{store};
  const signer own{{secret("a secret for the tests only")}};
  profile rules;
  store_abilities can = assumed_abilities;
  sign_request ask;
  std::string url = "https://media.s3.example.com/";

  fixture() {
    store.parts = &parts;
    store.signs = &parts;
    rules.name = "default";
    ask.size = 1000;
    ask.ways = all;
  }
  signed_form planned() {
    signed_form form;
    form.url = url;
    form.fallback_url = "https://up.example.com/upload/media";
    form.row = std::make_shared<upload>();
    form.row->id = "01a20a86-41d4-7ac8-8ecb-000000000010";
    form.row->profile = "default";
    form.row->bucket = "media";
    form.row->key = "a";
    form.row->content_type = "image/png";
    form.row->metadata = {{"album", "7"}};
    form.row->min_size = ask.size.value_or(0);
    form.row->max_size = ask.size.value_or(1 << 20);
    form_store known;
    known.abilities = [this] { return can; };
    const way_planner planner({{{"default", rules}}, "https://up.example.com", only(known, "media")}, own, store);
    test::run_task(planner.add(form, ask));
    return form;
  }
  std::string names() {
    std::string text;
    const auto form = planned();
    for (const auto& one : *form.ways) text.append(text.empty() ? "" : " ").append(name_of(one.way));
    return text;
  }
};

std::string header(const signed_body& body, std::string_view name) {
  const auto found =
      std::find_if(body.headers.begin(), body.headers.end(), [&](const auto& h) { return h.first == name; });
  return found == body.headers.end() ? "" : found->second;
}

} // namespace

BOOST_FIXTURE_TEST_CASE(the_order_is_the_profiles_and_a_large_file_goes_in_parts_first, fixture) {
  BOOST_TEST(names() == "form put multipart fallback");
  ask.size = rules.multipart_from;
  BOOST_TEST(names() == "multipart form put fallback");
  rules.ways = {upload_way::fallback, upload_way::put};
  BOOST_TEST(names() == "fallback put");
  ask.ways = {upload_way::put};
  BOOST_TEST(names() == "put");
  ask.ways = {};
  BOOST_TEST(!planned().ways.has_value());
}

BOOST_FIXTURE_TEST_CASE(what_the_store_or_the_size_does_not_allow_is_left_out, fixture) {
  url = "https://up.example.com/upload/media"; // no direct form
  BOOST_TEST(names() == "put multipart fallback");
  ask.size.reset();
  BOOST_TEST(names() == "fallback");
  ask.size = max_post_size + 1;
  rules.multipart_from = max_post_size * 2;
  BOOST_TEST(names() == "multipart fallback");
  can.takes_presigned_parts = false;
  BOOST_TEST(names() == "fallback");
  ask.size = 1;
  BOOST_TEST(names() == "put fallback");
  can.preflights_signed_headers = false;
  BOOST_TEST(names() == "fallback");
  can = assumed_abilities;
  store.parts = nullptr;
  store.signs = nullptr; // as the file store
  ask.size = 1;
  BOOST_TEST(names() == "fallback");
  ask.ways = {upload_way::put};
  BOOST_TEST(names().empty());
}

BOOST_FIXTURE_TEST_CASE(a_put_is_signed_with_all_that_a_form_would_say, fixture) {
  rules.cache_control = "max-age=60";
  const auto form = planned();
  BOOST_TEST(form.ways->at(1).url == "https://s3/a");
  const auto& body = parts.signed_with.at(0);
  BOOST_TEST((body.size == 1000u && body.headers.empty()));
  BOOST_TEST(content_type_of(body.meta) == "image/png");
  BOOST_TEST((body.meta.headers.at(1) == std::pair<std::string, std::string>("cache-control", "max-age=60")));
  const std::vector<std::pair<std::string, std::string>> user{
      {"album", "7"}, {"postern-id", form.row->id}, {"postern-way", "put"}};
  BOOST_TEST((body.meta.user == user));
}

BOOST_FIXTURE_TEST_CASE(conditions_and_checksums_go_to_stores_that_know_them, fixture) {
  ask.checksum = form_field{"x-amz-checksum-crc32c", "4waSgw=="};
  planned();
  BOOST_TEST(parts.signed_with.back().headers.empty());
  can.checks_checksums = can.takes_if_none_match = true;
  planned();
  BOOST_TEST(header(parts.signed_with.back(), "x-amz-checksum-crc32c") == "4waSgw==");
  BOOST_TEST(header(parts.signed_with.back(), "if-none-match") == "*");
  rules.overwrite = true;
  can.checks_checksums = false;
  ask.checksum = form_field{"Content-MD5", "1B2M2Y8AsgTpgAmY7PhCfg=="};
  planned();
  BOOST_TEST(header(parts.signed_with.back(), "content-md5") == "1B2M2Y8AsgTpgAmY7PhCfg==");
  BOOST_TEST(header(parts.signed_with.back(), "if-none-match") == "");
}

BOOST_FIXTURE_TEST_CASE(parts_are_offered_with_a_token_for_this_upload, fixture) {
  const auto form = planned();
  const auto& multipart = form.ways->at(2);
  BOOST_TEST(multipart.url == "https://up.example.com/v1/uploads/" + form.row->id + "/parts");
  BOOST_TEST(multipart.part_size == 16u << 20);
  const std::string authorization = multipart.headers.at(0).second;
  BOOST_TEST(authorization.starts_with("Upload "));
  BOOST_TEST(own.read_upload_token(authorization.substr(7), seconds_clock{} - std::chrono::seconds(1)).value() ==
             form.row->id);
}

BOOST_FIXTURE_TEST_CASE(without_credentials_there_is_no_put, fixture) {
  parts.broken = failure(errc::unavailable, "no keys");
  BOOST_TEST(names() == "form multipart fallback");
}
