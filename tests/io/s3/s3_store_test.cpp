// The S3 store, and the S3 client below it, against a real S3.
#include "support/real_s3.hpp"
#include "support/store_object_contract.hpp"
#include "support/store_resumable_contract.hpp"
#include <postern/base/encoding.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/s3/presign.hpp>
#include <postern/io/s3/s3_abilities.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;

BOOST_TEST_GLOBAL_FIXTURE(real_s3);

namespace {

constexpr std::size_t MiB = 1 << 20, KiB = 1 << 10;

std::chrono::seconds ahead{0}; // how far this machine's clock is ahead

seconds_clock now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + ahead; }

credential_source_ptr own_keys(const std::string& hidden = real_s3::secret_key) {
  return make_static_credentials({real_s3::access_key, secret(hidden), ""});
}

s3_options options(bool path_style = true) {
  s3_options o;
  o.endpoint = real_s3::endpoint;
  o.path_style = path_style;
  if (!path_style) o.endpoint.replace(o.endpoint.find("127.0.0.1"), 9, "localhost");
  return o;
}

store_clock steady(now);

struct fixture {
  explicit fixture(credential_source_ptr by = own_keys(), s3_options o = options())
      : credentials(std::move(by), 60s, now), s3(std::move(o), http, credentials, clock) {}
  ~fixture() { ahead = 0s; }
  http_client http;
  store_clock clock{now};
  credential_cache credentials;
  s3_client s3;
  s3_presigner presigner{s3};
  std::unique_ptr<store> made() { return make_s3_store(s3); }

  object_name named(const std::string& key) const { return {real_s3::bucket, key}; }
  std::string stored(const std::string& key) {
    auto got = run_step(s3.get_object(named(key), 65 * MiB));
    BOOST_TEST_REQUIRE(got.has_value(), (got ? "" : describe(to_failure(got.error()))));
    return std::move(*got);
  }

  // A request like a browser's: only the URL and the bytes.
  http_response put_to(const std::string& url, std::string_view bytes) {
    const auto to = parse_web_url(url).value();
    http_request r;
    r.to = to.server;
    r.target = to.target;
    r.method = "PUT";
    return run_step(http.send(r, bytes)).value();
  }
  presigned_url presigned(const std::string& key, std::chrono::seconds lifetime = 60s) {
    return run_step(presigner.presign_put(named(key), {}, lifetime)).value();
  }
  http_response get_from(const std::string& url, std::vector<std::pair<std::string, std::string>> fields = {}) {
    const auto to = parse_web_url(url).value();
    http_request r;
    r.to = to.server;
    r.target = to.target;
    r.fields = std::move(fields);
    return run_step(http.send(r)).value();
  }
  store_under_test contract() {
    return {.make = [this] { return made(); },
            .bucket = real_s3::bucket,
            .put_to_url = [this](const std::string& url, std::string_view bytes) { return put_to(url, bytes).status; }};
  }
  // Multipart uploads that are neither completed nor aborted.
  std::size_t unfinished() {
    http_request r;
    r.to = parse_web_url(real_s3::endpoint)->server;
    sigv4::request list;
    list.method = "GET";
    list.path = "/" + real_s3::bucket;
    list.query = {{"uploads", ""}};
    list.headers = {{"host", r.to.authority()}};
    list.payload_hash = "UNSIGNED-PAYLOAD";
    const sigv4::credentials by{real_s3::access_key, secret(real_s3::secret_key), ""};
    r.target = list.path + "?" + sigv4::presigned_query(list, by, {amz_date(now()), "us-east-1", "s3"}, 60);
    const auto answer = run_step(http.send(r)).value();
    BOOST_TEST_REQUIRE(answer.status == 200, answer.body);
    std::size_t n = 0;
    for (auto at = answer.body.find("<UploadId>"); at != answer.body.npos; at = answer.body.find("<UploadId>", at + 1))
      ++n;
    return n;
  }
  bool absent(const std::string& key) { return is_absent(*made(), named(key)); }
};

task<> pause(std::chrono::milliseconds d) {
  timer t(co_await asio::this_coro::executor, d);
  co_await t.async_wait(use_task);
}

void check_refused(const http_response& answer, const std::string& code) {
  const auto e = read_aws_error(answer, "PUT");
  BOOST_TEST(e.status == 403);
  BOOST_TEST(e.code == code, answer.body);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(s3_store_, fixture)

BOOST_AUTO_TEST_CASE(fulfils_the_contract) {
  check_store(contract());
  check_what_depends_on_etags(contract());
}

BOOST_AUTO_TEST_CASE(keeps_unfinished_uploads) { check_resumable_uploads(contract()); }

BOOST_AUTO_TEST_CASE(fulfils_the_contract_with_a_roles_keys_and_the_bucket_in_the_host) {
  role_options role;
  role.arn = real_s3::role;
  fixture f(make_assumed_role(own_keys(), http, {real_s3::endpoint, "us-east-1"}, role, steady), options(false));
  check_store(f.contract());
  check_what_depends_on_etags(f.contract());
  BOOST_TEST(f.credentials.current()->source == "role " + real_s3::role + " by configuration");
  BOOST_TEST(!f.credentials.current()->keys.session_token.empty());
}

BOOST_AUTO_TEST_CASE(ceph_rgw_says_what_it_can_do) {
  for (const bool path_style : {true, false}) {
    fixture f(own_keys(), options(path_style));
    const auto by = std::chrono::steady_clock::now() + 10s;
    const auto found = run_step(ask_abilities(f.s3, f.http, real_s3::bucket, "asked/", by)).value();
    BOOST_TEST(found.takes_forms);
    BOOST_TEST(found.takes_presigned_put);
    BOOST_TEST(found.takes_presigned_parts);
    BOOST_TEST(found.takes_if_none_match);
    BOOST_TEST(found.has_bucket_cors);
    BOOST_TEST(run_step(f.s3.list_objects(real_s3::bucket, "asked/", 10)).value().empty());
    BOOST_TEST(unfinished() == 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_large_object_is_copied_in_parts) {
  auto o = options();
  o.max_whole_copy = 6 * MiB, o.copy_part_size = 5 * MiB;
  fixture f(own_keys(), o);
  const auto s = f.made();
  for (const std::size_t size : {6 * MiB, 6 * MiB + 1, 10 * MiB, 12 * MiB + 3}) {
    BOOST_TEST_CONTEXT("size " << size) {
      const auto bytes = some_bytes(size);
      const auto etag = put(*s, named("large"), bytes).etag;
      const auto copied = run_step(s->copy(named("large"), etag, named("large copy")));
      BOOST_TEST_REQUIRE(copied.has_value(), (copied ? "" : describe(copied.error())));
      BOOST_TEST(copied->size == size);
      const auto parts = size <= 6 * MiB ? "" : "-" + std::to_string((size + 5 * MiB - 1) / (5 * MiB));
      if (!parts.empty()) BOOST_TEST(copied->etag.ends_with(parts), copied->etag);
      BOOST_TEST((stored("large copy") == bytes));
      const auto found = run_step(s->head(named("large copy"))).value();
      BOOST_TEST(found.etag == copied->etag);
      BOOST_TEST((found.meta.user == test::some_meta().user));
      BOOST_TEST(found.meta.headers.size() >= test::some_meta().headers.size());
      for (const auto& h : test::some_meta().headers)
        BOOST_TEST(std::count(found.meta.headers.begin(), found.meta.headers.end(), h) == 1, h.first);
    }
  }
  BOOST_TEST(fails_with(run_step(s->copy(named("large"), "0-3", named("not copied"))), errc::conflict));
  BOOST_TEST(absent("not copied"));
  BOOST_TEST(unfinished() == 0u);
}

BOOST_AUTO_TEST_CASE(a_presigned_get_answers_with_the_given_type_and_disposition) {
  const auto s = made();
  for (const auto* key : {"got", "got/a b/Ü+&=?#%41~'\"🙂"}) {
    put(*s, named(key), "0123456789");
    const response_headers as{"attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%20%C3%9C%3B.txt",
                              "application/octet-stream"};
    const auto signed_at = time_now();
    const auto made_url = run_step(presigner.presign_get(named(key), 60s, as)).value();
    BOOST_TEST((made_url.expires_at >= signed_at + 59s && made_url.expires_at <= time_now() + 61s));
    const auto whole = get_from(made_url.url);
    BOOST_TEST(whole.status == 200);
    BOOST_TEST(whole.body == "0123456789");
    BOOST_TEST(whole.field("content-disposition") == as.content_disposition);
    BOOST_TEST(whole.field("content-type") == as.content_type);
    const auto part = get_from(made_url.url, {{"Range", "bytes=2-4"}});
    BOOST_TEST(part.status == 206);
    BOOST_TEST(part.body == "234");
    const auto plain = get_from(run_step(presigner.presign_get(named(key), 60s, {})).value().url);
    BOOST_TEST(plain.field("content-type") == "image/jpeg"); // the object's own
    BOOST_TEST(get_from(made_url.url + "0").status == 403);  // another signature
    BOOST_TEST(put_to(made_url.url, "other").status == 403);
    auto html = made_url.url;
    html.replace(html.find("application%2Foctet-stream"), 26, "text%2Fhtml");
    BOOST_TEST(get_from(html).status == 403); // the type is signed
  }
  const auto brief = run_step(presigner.presign_get(named("got"), 1s, {})).value();
  run_step(pause(2500ms));
  BOOST_TEST(get_from(brief.url).status == 403);
}

// How an object is stored depends on its size and on the predicted size.
BOOST_AUTO_TEST_CASE(bytes_are_unchanged_by_every_way_of_storing) {
  struct row {
    std::size_t size;
    std::optional<expected_size> expected;
    bool parts;
  };
  const auto exact = [](std::size_t n) { return expected_size(n, true); };
  const std::size_t small = 5 * MiB + 64 * KiB;
  for (const auto& r : std::vector<row>{
           {0, 0, false},
           {0, {}, false},
           {100'000, 100'000 + 64 * KiB, false},
           {small - 1, small - 1, false},
           {small - 1, small, true},
           {small, small, true},
           {small + 1, small + 64 * KiB, true},
           {12 * MiB + 3, 12 * MiB + 3, true},
           {12 * MiB + 3, 12 * MiB + 3 + 64 * KiB, true}, // all of the tail was predicted too much
           {8 * MiB - 1, {}, false},
           {8 * MiB, {}, true},
           {20 * MiB + 3, {}, true},
           {256 * KiB, exact(256 * KiB), false},
           {6 * MiB, exact(6 * MiB), false},
           {64 * MiB, exact(64 * MiB), false},
           {64 * MiB + 1, exact(64 * MiB + 1), true},
       }) {
    for (const std::size_t piece : {256 * KiB, 7 * MiB + 1}) {
      BOOST_TEST_CONTEXT("size " << r.size << " expected " << r.expected.value_or(0).bytes << " piece " << piece) {
        const auto bytes = some_bytes(r.size);
        const auto s = made();
        auto to = open_sink(*s, named("way"), r.expected);
        write_in_pieces(*to, bytes, piece);
        const auto object = run_step(to->finish()).value();
        BOOST_TEST(object.size == r.size);
        BOOST_TEST((object.crc32c == crc32c(0, bytes)));
        BOOST_TEST((object.etag.find('-') != object.etag.npos) == r.parts, object.etag);
        BOOST_TEST((stored("way") == bytes));
        const auto found = run_step(s->head(named("way"))).value();
        BOOST_TEST(found.etag == object.etag);
        BOOST_TEST((found.meta.user == test::some_meta().user));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_prediction_that_was_too_large_stores_nothing) {
  const auto s = made();
  auto to = open_sink(*s, named("short"), 12 * MiB);
  write_in_pieces(*to, some_bytes(12 * MiB - 64 * KiB - 1), MiB);
  const auto done = run_step(to->finish());
  BOOST_TEST_REQUIRE(!done.has_value());
  BOOST_TEST((done.error().code == errc::malformed_form));
  run_step(to->abandon());
  BOOST_TEST(absent("short"));
}

BOOST_AUTO_TEST_CASE(an_abandoned_upload_leaves_nothing) {
  const auto s = made();
  for (const std::size_t sent : {0u, 1u, 6u, 11u}) {
    for (const bool is_abandoned : {false, true}) {
      auto to = open_sink(*s, named("given-up"), 12 * MiB);
      write_in_pieces(*to, some_bytes(sent * MiB), MiB);
      if (is_abandoned) run_step(to->abandon());
      if (sent > 5) BOOST_TEST(unfinished() == (is_abandoned ? 0u : 1u)); // so it was a multipart upload
      to.reset();
      BOOST_TEST(absent("given-up"));
      for (int n = 0; n < 500 && unfinished() > 0; ++n) run_step(pause(20ms)); // it is aborted behind us
      BOOST_TEST(unfinished() == 0u);
    }
  }
}

// An object of exact size that was sent but for the byte that is held back.
BOOST_AUTO_TEST_CASE(an_abandoned_streamed_object_does_not_exist) {
  const auto bytes = some_bytes(6 * MiB);
  const auto s = made();
  put(*s, named("tells what the store can"), some_bytes(6 * MiB));
  for (const std::string key : {"given-up at once", "given-up late"}) {
    auto to = run_step(s->open(named(key), some_meta(), expected_size(bytes.size(), true), nullptr)).value();
    write_in_pieces(*to, bytes, MiB);
    if (key == "given-up at once") run_step(to->abandon());
    to.reset();
    run_step(pause(300ms)); // the store could still be working on it
    BOOST_TEST(absent(key));
    BOOST_TEST(unfinished() == 0u);
  }
}

BOOST_AUTO_TEST_CASE(errors_of_the_store_are_reported) {
  const auto opened = run_step(made()->open({real_s3::bucket, std::string(1025, 'k')}, {}, 1, nullptr));
  BOOST_TEST((!opened && opened.error().code == errc::key_too_long));
  auto to = open_sink(*made(), {"no-such-bucket", "k"}, 1);
  write_in_pieces(*to, "x", 1);
  const auto stored_there = run_step(to->finish());
  BOOST_TEST((!stored_there && stored_there.error().code == errc::no_such_bucket));

  fixture wrong(own_keys("not the secret"));
  const auto refused = run_step(wrong.s3.put_object(named("k"), {}, "x", crc32c(0, std::string_view("x"))));
  BOOST_TEST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().code == "SignatureDoesNotMatch");
  BOOST_TEST((refused.error().category == errc::store_failed));
}

BOOST_AUTO_TEST_CASE(a_wrong_clock_is_corrected) {
  ahead = 3h; // a role's keys would end, these do not
  const auto found = run_step(s3.head_object(named("nothing")));
  BOOST_TEST((!found && found.error().category == errc::object_absent),
             (found ? "" : describe(to_failure(found.error()))));
  put(*made(), named("clock"), "x");
  BOOST_TEST(stored("clock") == "x");
}

BOOST_AUTO_TEST_CASE(small_objects_and_bucket_operations_work) {
  put(*made(), named("small"), "hello");
  BOOST_TEST(run_step(s3.get_object(named("small"), 5)).value() == "hello");
  const auto too_large = run_step(s3.get_object(named("small"), 4));
  BOOST_TEST((!too_large && too_large.error().category == errc::payload_too_large));
  put(*made(), named("empty"), "");
  BOOST_TEST(run_step(s3.get_object(named("empty"), 5)).value() == "");
  BOOST_TEST(run_step(s3.head_bucket(real_s3::bucket)).has_value());
  BOOST_TEST(run_step(s3.get_bucket_location(real_s3::bucket)).has_value());
  const std::string cors =
      "<CORSConfiguration><CORSRule><AllowedOrigin>https://app.example</AllowedOrigin><AllowedMethod>"
      "POST</AllowedMethod></CORSRule></CORSConfiguration>";
  BOOST_TEST(run_step(s3.put_bucket_cors(real_s3::bucket, cors)).has_value());
  BOOST_TEST(run_step(s3.get_bucket_cors(real_s3::bucket)).value().find("https://app.example") != std::string::npos);
}

// --- presigned URLs ---------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_presigned_url_lets_a_browser_put_one_object) {
  role_options role;
  role.arn = real_s3::role;
  fixture temporary(make_assumed_role(own_keys(), http, {real_s3::endpoint, "us-east-1"}, role, steady));
  fixture in_host(own_keys(), options(false));
  for (auto* by : {static_cast<fixture*>(this), &temporary, &in_host}) {
    for (const auto* key : {"presigned", "a b/Ü+&=?#%41~'\"🙂"}) {
      const auto bytes = some_bytes(1000);
      const auto answer = by->put_to(by->presigned(key).url, bytes);
      BOOST_TEST(answer.status == 200, answer.body);
      BOOST_TEST((stored(key) == bytes));
      BOOST_TEST(run_step(s3.delete_object(named(key))).has_value());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_presigned_url_holds_for_one_object_and_its_lifetime) {
  auto url = presigned("allowed").url;
  auto other = url;
  other.replace(other.find("/allowed?"), 9, "/another?");
  check_refused(put_to(other, "x"), "SignatureDoesNotMatch");
  BOOST_TEST(absent("another"));

  auto longer = url;
  longer.replace(longer.find("X-Amz-Expires=60"), 16, "X-Amz-Expires=61");
  check_refused(put_to(longer, "x"), "SignatureDoesNotMatch");

  fixture wrong(own_keys("not the secret"));
  check_refused(put_to(wrong.presigned("allowed").url, "x"), "SignatureDoesNotMatch");

  ahead = -2min; // signed two minutes ago for one
  const auto old = presigned("allowed", 60s);
  check_refused(put_to(old.url, "x"), "AccessDenied");
  BOOST_TEST(absent("allowed"));
  const auto lasting = presigned("allowed", 600s); // and for ten
  BOOST_TEST(put_to(lasting.url, "x").status == 200);
  BOOST_TEST(!absent("allowed"));
}

BOOST_AUTO_TEST_CASE(presigned_parts_make_an_object) {
  const auto bytes = some_bytes(6 * MiB);
  const std::string_view first = std::string_view(bytes).substr(0, 5 * MiB),
                         second = std::string_view(bytes).substr(5 * MiB);
  const auto upload = run_step(s3.create_multipart(named("by parts"), test::some_meta())).value();
  const auto part_url = [&](int number) {
    return run_step(presigner.presign_part(upload.name, upload.upload_id, number, {}, 60s)).value().url;
  };
  BOOST_TEST(put_to(part_url(1), first).status == 200);
  BOOST_TEST(put_to(part_url(2), second).status == 200);

  auto third = part_url(2);
  third.replace(third.find("partNumber=2"), 12, "partNumber=3");
  check_refused(put_to(third, "x"), "SignatureDoesNotMatch");
  ahead = -2min;
  check_refused(put_to(part_url(3), "x"), "AccessDenied");
  ahead = 0s;

  const auto parts = run_step(s3.list_parts(upload)).value();
  BOOST_TEST_REQUIRE(parts.size() == 2u);
  BOOST_TEST((parts[0].number == 1 && parts[0].size == first.size()));
  BOOST_TEST((parts[1].number == 2 && parts[1].size == second.size()));
  BOOST_TEST(parts[1].etag == to_hex(md5(second)));
  const auto open = run_step(s3.list_multiparts(upload.name.bucket, upload.name.key)).value();
  BOOST_TEST_REQUIRE(open.size() == 1u);
  BOOST_TEST(open[0].id == upload.upload_id);
  BOOST_TEST(open[0].name.key == upload.name.key);
  BOOST_TEST(run_step(s3.complete_multipart(upload, parts, crc32c(0, bytes))).has_value());
  BOOST_TEST((stored("by parts") == bytes));
  BOOST_TEST(run_step(s3.head_object(named("by parts"))).value().etag == multipart_etag(parts));

  const auto aborted = run_step(s3.create_multipart(named("aborted"), {})).value();
  BOOST_TEST(run_step(s3.abort_multipart(aborted)).has_value());
  BOOST_TEST(run_step(s3.abort_multipart(aborted)).has_value()); // aborted already
  const auto late_part = run_step(s3.upload_part(aborted, 1, "x"));
  BOOST_TEST((!late_part && late_part.error().code == "NoSuchUpload"));
  const auto no_list = run_step(s3.list_parts(aborted));
  BOOST_TEST((!no_list && no_list.error().category == errc::object_absent));
}

BOOST_AUTO_TEST_SUITE_END()
