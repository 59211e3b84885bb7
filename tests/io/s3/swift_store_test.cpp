// The S3 store against a second real S3: OpenStack Swift's s3api, which has no POST Object, no checksums and no
// If-None-Match.
#include "support/real_s3.hpp"
#include "support/store_object_contract.hpp"
#include "support/store_resumable_contract.hpp"
#include <postern/core/http/url.hpp>
#include <postern/io/s3/s3_abilities.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

BOOST_TEST_GLOBAL_FIXTURE(real_swift);

namespace {

seconds_clock now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

s3_options options() {
  s3_options o;
  o.endpoint = real_s3::endpoint;
  o.path_style = true;
  return o;
}

struct fixture {
  http_client http;
  store_clock clock{now};
  credential_cache credentials{make_static_credentials({real_s3::access_key, secret(real_s3::secret_key), ""}), 60s,
                               now};
  s3_client s3{options(), http, credentials, clock};

  int put_to(const std::string& url, std::string_view bytes) {
    const auto to = parse_web_url(url).value();
    http_request r;
    r.to = to.server;
    r.target = to.target;
    r.method = "PUT";
    return run_step(http.send(r, bytes)).value().status;
  }
  store_under_test contract() {
    return {.make = [this] { return make_s3_store(s3); },
            .bucket = real_s3::bucket,
            .put_to_url = [this](const std::string& url, std::string_view bytes) { return put_to(url, bytes); }};
  }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(swift_store_, fixture)

BOOST_AUTO_TEST_CASE(swift_fulfils_the_contract) { check_store(contract()); }

BOOST_AUTO_TEST_CASE(swift_keeps_unfinished_uploads) { check_resumable_uploads(contract()); }

BOOST_AUTO_TEST_CASE(swift_fulfils_what_depends_on_etags) { check_what_depends_on_etags(contract()); }

// Swift answers 412 to DELETE with If-Match where the object has parts, also with its ETag.
BOOST_AUTO_TEST_CASE(an_object_of_parts_is_removed_if_it_matches) {
  const object_name name{real_s3::bucket, "of parts"};
  const std::string bytes = "a part";
  const auto upload = run_step(s3.create_multipart(name, {})).value();
  const auto part = run_step(s3.upload_part(upload, 1, bytes)).value();
  BOOST_TEST_REQUIRE(run_step(s3.complete_multipart(upload, {part}, 0)).has_value());
  const auto objects = make_s3_store(s3);
  const auto etag = run_step(objects->head(name)).value().etag;
  BOOST_TEST((run_step(objects->remove_if_match(name, "another")).error().code == errc::conflict));
  BOOST_TEST(run_step(objects->remove_if_match(name, etag)).has_value());
  BOOST_TEST((run_step(objects->head(name)).error().code == errc::object_absent));
}

BOOST_AUTO_TEST_CASE(swift_says_what_it_can_do) {
  const auto by = std::chrono::steady_clock::now() + 10s;
  const auto found = run_step(ask_abilities(s3, http, real_s3::bucket, "uploads/", by)).value();
  const store_abilities right{
      .takes_presigned_put = true, .takes_presigned_parts = true, .preflights_signed_headers = true};
  BOOST_TEST((found == right));
  BOOST_TEST(run_step(s3.list_objects(real_s3::bucket, "uploads/", 10)).value().empty());
}

BOOST_AUTO_TEST_SUITE_END()
