// The real tables and endpoints, on flows whose store and ledger are in memory.
#include "support/fakes.hpp"
#include "support/test_request.hpp"
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/flow/admission/api_keys.hpp>
#include <postern/front/routes.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <optional>

using namespace postern;
using namespace postern::front;
using test::field_of;
using test::is_problem;
using test::is_spread;
using test::test_request;

namespace {

const char* const page = "https://app.example.com";
const std::string id = "01a20a86-41d4-7ac8-8ecb-3931cee2cfd4";

bool has(const response& r, std::string_view text) { return r.body.find(text) != std::string::npos; }

struct fake_sns final : sns {
  task<result<certificate>> signing_certificate(sns_url, seconds_clock) override {
    co_return failure(errc::unavailable, "SNS");
  }
  task<result<void>> confirm(sns_url) override { co_return failure(errc::unavailable, "SNS"); }
};

// Recognizes the key "limited", whose caller has these rights and no others.
class limited_link final : public admission_link {
public:
  explicit limited_link(caller_rights rights) : rights_(rights) {}
  task<result<std::optional<caller>>> recognize(request_credentials shown) const override {
    if (shown.authorization != "Bearer limited") co_return std::nullopt;
    caller who;
    who.name = who.user = "limited";
    who.profiles = {"*"};
    who.rights = rights_;
    co_return who;
  }

private:
  const caller_rights rights_;
};

// A node, made at the first request: a test changes the options before.
struct fixture {
  bool anonymous = false, demo = true;
  caller_rights limited_rights;
  request_rates rates{.sign = 2, .sign_burst = 2};
  secret token;

  test::fake_store store;
  test::fake_ledger ledger;
  const signer own{{secret("a secret for the tests only")}};
  const std::map<std::string, profile> profiles;
  const recorder recording{ledger, store, profiles};
  transfers carriers{store, ledger, recording, now_millis};
  form_reader form_taker{{only({}, "media"), {}, now_millis}, own, carriers};
  completer completions{own, store, ledger, recording};
  acceptor verdicts{acceptor_options{{}, now_millis, [] { return 0.5; }}, store, ledger, completions};
  const remover removals{{}, store, ledger};
  fake_sns topics;
  upload_feed changes;
  form_signer forms{signer_options(), own};
  form_issuer issuer{forms, ledger};

  struct endpoints {
    explicit endpoints(fixture& f)
        : receiver({f.token, {}, {"media"}}, f.completions, f.topics, f.ledger),
          ways({signer_options().profiles, "https://up.example.com", only({}, "media")}, f.own, f.store),
          admission(f.links()), limits(f.rates), uploads(1024, who, f.issuer, ways, f.ledger, f.carriers, f.changes),
          fallback("https://up.example.com", f.form_taker), complete(f.completions), events(1024, receiver),
          pages(pages_options{f.demo, "1.2.3", {}}, who, f.issuer), usage(who, f.forms, f.ledger),
          manage(who, f.ledger, f.removals, f.verdicts), files(f.store, f.ledger, f.forms),
          download(who, files, memory.shared),
          multiparts({{}, only({}, "media")}, f.own, f.store, f.ledger, f.completions),
          parts(who, f.own, f.ledger, multiparts),
          resumables({f.profiles, "https://up.example.com", only({}, "media"), std::chrono::hours(24), now_millis},
                     f.own, f.issuer, f.store, f.ledger, f.carriers, f.completions),
          resumed_files(who, resumables, f.profiles), admin(f.ledger, f.carriers, f.parts()) {}

    event_receiver receiver;
    const way_planner ways;
    const admitter admission;
    const cors_rules allowed{"https://up.example.com", {page}};
    request_limits limits;
    const signing_gate who{admission, allowed, limits};
    uploads_endpoint uploads;
    fallback_endpoint fallback;
    complete_endpoint complete;
    events_endpoint events;
    pages_endpoint pages;
    usage_endpoint usage;
    manage_endpoint manage;
    test::test_share memory;
    downloads files;
    download_endpoint download;
    direct_multiparts multiparts;
    parts_endpoint parts;
    resumable_uploads resumables;
    files_endpoint resumed_files;
    admin_endpoint admin;
    router public_router{
        public_routes({uploads, fallback, complete, events, pages, usage, manage, download, parts, resumed_files}),
        allowed};
    router admin_router{admin_routes(admin), allowed};
  };
  std::optional<endpoints> made;

  std::map<std::string, failure> failing; // parts of /readyz
  task<result<void>> check(std::string part) {
    const auto found = failing.find(part);
    if (found != failing.end()) co_return found->second;
    co_return result<void>{};
  }
  std::vector<readiness_part> parts() {
    std::vector<readiness_part> all;
    for (const char* name : {"sign", "record", "store"}) all.push_back({name, [this, name] { return check(name); }});
    return all;
  }
  std::vector<admission_link_ptr> links() const {
    std::vector<admission_link_ptr> all;
    all.push_back(std::make_unique<limited_link>(limited_rights));
    all.push_back(make_api_key_link({{"app", sha256_hex("good key"), {"default"}}}, [] { return seconds_clock{}; }));
    if (anonymous) all.push_back(make_anonymous_link());
    return all;
  }
  static form_signer_options signer_options() {
    form_signer_options o;
    for (const char* name : {"default", "other"}) {
      auto& p = o.profiles[name];
      p.name = name;
      p.bucket = "media";
    }
    o.public_url = "https://up.example.com";
    form_store store;
    store.direct_urls["media"] = "https://media.s3.eu-west-1.amazonaws.com/";
    store.region = "eu-west-1";
    store.credentials = [] {
      return std::make_shared<const held_credentials>(held_credentials{{"AKIA", secret("key"), {}}, {}, "test"});
    };
    o.find_store = only(std::move(store));
    return o;
  }

  endpoints& node() {
    if (!made) made.emplace(*this);
    return *made;
  }
  response answer(test_request asks) {
    auto r = asks.made();
    return test::run_task(node().public_router.answer(r));
  }
  response get(const std::string& target) { return answer(test_request(http::verb::get, target)); }
  response admin(const std::string& target, std::string_view accept = "") {
    test_request asks(http::verb::get, target);
    if (!accept.empty()) asks.with("Accept", accept);
    auto r = asks.made();
    return test::run_task(node().admin_router.answer(r));
  }
  test_request sign(const std::string& body = R"({"filename":"a.txt"})") {
    test_request asks(http::verb::post, "/v1/uploads", body);
    asks.json().with("Authorization", "Bearer good key");
    return asks;
  }
  // The answer to the caller "limited", who asks for a form for that user, written as in JSON.
  response sign_for(const std::string& user) {
    const auto body = R"({"filename":"a","user":")" + user + R"("})";
    return answer(sign(body).with("Authorization", "Bearer limited"));
  }
  // Whether that caller sees the key of an upload of the profile and the user.
  bool shows_key(const char* authorization, const char* profile = "default", const char* user = "app") {
    upload u;
    u.id = id, u.profile = profile, u.user = user, u.bucket = "media", u.key = "the/key";
    ledger.rows.insert_or_assign(id, u);
    test_request asks(http::verb::get, "/v1/uploads/" + id);
    if (*authorization) asks.with("Authorization", authorization);
    const auto shown = answer(asks);
    BOOST_TEST(shown.status == 200);
    BOOST_TEST(field_of(shown, "Cache-Control") == "no-store");
    BOOST_TEST(has(shown, "\"state\":\"issued\""));
    return has(shown, "the/key");
  }
};

} // namespace

// --- the table --------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(each_public_route_leads_to_its_endpoint, fixture) {
  anonymous = true;
  const auto form = answer(sign());
  BOOST_TEST(form.status == 201);
  BOOST_TEST(has(form, "\"fallback_url\":\"https://up.example.com/upload/media\""));
  const auto location = field_of(form, "Location");
  BOOST_TEST(has(get(location.substr(location.find("/v1/"))), "\"state\":\"issued\""));
  BOOST_TEST(has(answer(test_request(http::verb::post, "/upload/media")), "<Code>MalformedPOSTRequest</Code>"));
  BOOST_TEST(has(get("/v1/complete/nonsense"), "Upload not confirmed"));
  BOOST_TEST(field_of(answer(test_request(http::verb::post, "/v1/events")), "WWW-Authenticate").starts_with("Bearer"));
  BOOST_TEST(has(get("/"), "1.2.3"));
  for (const char* script : {"/postern.js", "/postern.mjs", "/complete.js", "/demo.js"})
    BOOST_TEST(get(script).content_type == "text/javascript; charset=utf-8", script);
  BOOST_TEST(get("/page.css").content_type == "text/css; charset=utf-8");
  BOOST_TEST(get("/icon.svg").content_type == "image/svg+xml");
  BOOST_TEST(is_problem(get("/metrics"), 404, "not_found")); // of the admin listener
}

BOOST_FIXTURE_TEST_CASE(each_admin_route_leads_to_its_endpoint, fixture) {
  BOOST_TEST(admin("/healthz").body == "ok\n");
  BOOST_TEST(admin("/readyz").body == "ready\nsign: ok\nrecord: ok\nstore: ok\n");
  BOOST_TEST(has(admin("/metrics"), "# TYPE postern_requests_total counter\n"));
  BOOST_TEST(admin("/v1/uploads").content_type == "application/x-ndjson");
  BOOST_TEST(is_problem(admin("/form"), 404, "not_found"));
}

BOOST_FIXTURE_TEST_CASE(pages_of_listed_origins_read_what_they_need_and_others_nothing, fixture) {
  const auto readable = [&](http::verb verb, const char* path, const char* origin) {
    return field_of(answer(test_request(verb, path).from_page(origin)), "Access-Control-Allow-Origin");
  };
  using enum http::verb;
  const std::string upload = "/v1/uploads/" + id;
  for (const auto& [verb, path] : {std::pair{post, "/v1/uploads"}, {get, upload.c_str()}, {post, "/upload/media"}}) {
    BOOST_TEST(readable(verb, path, page) == page, path);
    BOOST_TEST(readable(verb, path, "https://evil.example") == "(absent)", path);
  }
  for (const char* path : {"/v1/complete/nonsense", "/postern.js"})
    BOOST_TEST(readable(get, path, "null") == "*", path);
  for (const auto& [verb, path] : {std::pair{post, "/v1/events"}, {get, "/form"}, {get, "/"}})
    BOOST_TEST(readable(verb, path, page) == "(absent)", path);
  BOOST_TEST(readable(options, "/v1/complete/nonsense", "null") == "*");
  BOOST_TEST(readable(options, "/v1/uploads", page) == page);
}

// --- signing ----------------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(signing_needs_known_credentials, fixture) {
  test_request nobody(http::verb::post, "/v1/uploads", R"({"filename":"a"})");
  const auto refused = answer(nobody.json());
  BOOST_TEST(is_problem(refused, 401, "unauthorized"));
  BOOST_TEST(field_of(refused, "WWW-Authenticate") == "Bearer");
  BOOST_TEST(is_problem(answer(sign().with("Authorization", "Bearer bad key")), 401, "unauthorized"));
  BOOST_TEST(answer(sign()).status == 201);
}

BOOST_FIXTURE_TEST_CASE(a_wrong_key_is_refused_where_anonymous_callers_are_not, fixture) {
  anonymous = true;
  test_request nobody(http::verb::post, "/v1/uploads", R"({"filename":"a"})");
  BOOST_TEST(answer(nobody.json()).status == 201);
  BOOST_TEST(is_problem(answer(sign().with("Authorization", "Bearer bad key")), 401, "unauthorized"));
}

BOOST_FIXTURE_TEST_CASE(a_page_of_an_unlisted_origin_may_not_sign, fixture) {
  const auto refused = answer(sign().from_page("https://evil.example"));
  BOOST_TEST(is_problem(refused, 403, "forbidden"));
  BOOST_TEST(has(refused, "server.allowed_origins"));
  BOOST_TEST(answer(sign().from_page(page)).status == 201);
}

BOOST_FIXTURE_TEST_CASE(a_key_is_limited_to_its_profiles, fixture) {
  BOOST_TEST(is_problem(answer(sign(R"({"filename":"a","profile":"other"})")), 403, "forbidden"));
  auto form = test_request(http::verb::get, "/form?profile=other");
  BOOST_TEST(is_problem(answer(form.with("Authorization", "Bearer good key")), 403, "forbidden"));
}

BOOST_FIXTURE_TEST_CASE(a_caller_without_the_right_to_sign_may_only_read, fixture) {
  limited_rights = caller_right::read;
  BOOST_TEST(is_problem(answer(sign().with("Authorization", "Bearer limited")), 403, "forbidden"));
  auto form = test_request(http::verb::get, "/form");
  BOOST_TEST(is_problem(answer(form.with("Authorization", "Bearer limited")), 403, "forbidden"));
  BOOST_TEST(shows_key("Bearer limited", "default", "limited"));
}

BOOST_FIXTURE_TEST_CASE(a_caller_without_the_right_to_read_may_only_sign, fixture) {
  limited_rights = caller_right::sign;
  BOOST_TEST(answer(sign().with("Authorization", "Bearer limited")).status == 201);
  BOOST_TEST(!shows_key("Bearer limited", "default", "limited"));
}

BOOST_FIXTURE_TEST_CASE(only_a_caller_with_the_right_signs_for_other_users, fixture) {
  limited_rights = caller_right::sign;
  BOOST_TEST(is_problem(sign_for("ann"), 403, "forbidden"));
  BOOST_TEST(sign_for("limited").status == 201);
  made.reset();
  limited_rights = caller_rights(caller_right::sign) | caller_right::user;
  BOOST_TEST(sign_for("ann").status == 201);
  const auto is_anns = [](const auto& row) { return row.second.user == "ann"; };
  BOOST_TEST(std::count_if(ledger.rows.begin(), ledger.rows.end(), is_anns) == 1);
  for (const char* wrong : {"", "..", "a/b", R"(a\\b)", "${filename}", R"(a\u0000)"})
    BOOST_TEST(is_problem(sign_for(wrong), 400, "bad_request"));
}

BOOST_FIXTURE_TEST_CASE(a_form_counts_for_the_user_that_it_is_signed_for, fixture) {
  limited_rights = caller_rights(caller_right::sign) | caller_right::user;
  for (int i = 0; i < 2; ++i) BOOST_TEST(sign_for("ann").status == 201);
  BOOST_TEST(sign_for("ann").status == 429);
  BOOST_TEST(sign_for("bob").status == 201);
}

BOOST_FIXTURE_TEST_CASE(the_right_user_shows_the_uploads_of_all_users, fixture) {
  limited_rights = caller_right::read;
  BOOST_TEST(!shows_key("Bearer limited", "default", "ann"));
  made.reset();
  limited_rights = caller_rights(caller_right::read) | caller_right::user;
  BOOST_TEST(shows_key("Bearer limited", "default", "ann"));
}

BOOST_FIXTURE_TEST_CASE(usage_is_shown_to_those_who_may_read_it, fixture) {
  ledger.usage.user = {1000, 600, 1};
  ledger.usage.all = {9000, 600, 1};
  const auto usage = [&](const std::string& query) {
    return answer(test_request(http::verb::get, "/v1/usage" + query).with("Authorization", "Bearer limited"));
  };
  limited_rights = caller_right::sign;
  BOOST_TEST(is_problem(usage(""), 403, "forbidden"));
  made.reset();
  limited_rights = caller_right::read;
  BOOST_TEST(has(usage(""), R"("user":"limited")"));
  BOOST_TEST(has(usage(""), R"("user_total":{"used":1000,"reserved":600})")); // without a limit nothing is left
  BOOST_TEST(!has(usage(""), "9000"));
  BOOST_TEST(is_problem(usage("?user=ann"), 403, "forbidden"));
  BOOST_TEST(is_problem(usage("?profile=absent"), 404, "not_found"));
  BOOST_TEST(is_problem(answer(test_request(http::verb::get, "/v1/usage")), 401, "unauthorized"));
  made.reset();
  limited_rights = caller_rights(caller_right::read) | caller_right::user;
  BOOST_TEST(has(usage("?user=ann"), R"("total":{"used":9000,"reserved":600})"));
  ledger.broken.emplace(errc::unavailable, "away");
  BOOST_TEST(is_problem(usage(""), 503, "unavailable"));
}

BOOST_FIXTURE_TEST_CASE(the_file_of_an_upload_is_sent_to_those_who_may_read_it, fixture) {
  upload u;
  u.id = id, u.profile = "default", u.user = "limited", u.bucket = "media", u.key = "k/page.html", u.etag = "e";
  u.state = upload_state::completed;
  ledger.rows.insert_or_assign(id, u);
  stored_object o;
  o.size = 6, o.etag = "e", o.meta.headers = {{"content-type", "text/html"}};
  store.objects["media/k/page.html"] = o;
  store.contents["media/k/page.html"] = "<html>";
  const auto file = [&](const char* range = "bytes=0-", http::verb verb = http::verb::get) {
    test_request asks(verb, "/v1/uploads/" + id + "/download");
    return answer(asks.with("Authorization", "Bearer limited").with("Range", range));
  };
  limited_rights = caller_right::sign;
  BOOST_TEST(is_problem(file(), 403, "forbidden"));
  made.reset();
  limited_rights = caller_right::read;
  const auto part = file("bytes=1-4");
  BOOST_TEST(part.status == 206);
  BOOST_TEST(part.length.value() == 4u);
  BOOST_TEST(test::run_task(part.next_piece()).value() == "html");
  BOOST_TEST(!test::run_task(part.next_piece()).has_value());
  const std::vector<std::pair<const char*, const char*>> fields{
      {"Content-Range", "bytes 1-4/6"},
      {"Content-Type", "application/octet-stream"},
      {"Content-Disposition", "attachment; filename=\"page.html\"; filename*=UTF-8''page.html"},
      {"ETag", "\"e\""},
      {"Accept-Ranges", "bytes"},
      {"Cache-Control", "no-store"},
      {"Referrer-Policy", "no-referrer"},
      {"X-Content-Type-Options", "nosniff"},
      {"Content-Security-Policy", "sandbox"}};
  for (const auto& [name, value] : fields) BOOST_TEST(field_of(part, name) == value, name);
  BOOST_TEST(file("bytes=6-").status == 416);
  BOOST_TEST(field_of(file("bytes=6-"), "Content-Range") == "bytes */6");
  const auto head = file("bytes=1-4", http::verb::head);
  BOOST_TEST((head.status == 200 && head.length == 6u && !head.next_piece));
  BOOST_TEST(is_problem(get("/v1/uploads/" + id + "/download"), 401, "unauthorized"));
  store.objects["media/k/page.html"].etag = "f";
  BOOST_TEST(is_problem(file(), 409, "conflict"));
}

BOOST_FIXTURE_TEST_CASE(a_user_signs_at_the_configured_rate, fixture) {
  anonymous = true;
  for (int i = 0; i < 2; ++i) BOOST_TEST(answer(sign()).status == 201);
  const auto refused = answer(sign());
  BOOST_TEST(is_problem(refused, 429, "too_many_requests"));
  BOOST_TEST(is_spread(field_of(refused, "Retry-After"), 1));
  // Anonymous callers share a rate by address.
  const auto form_from = [&](const char* address) {
    return answer(test_request(http::verb::get, "/form").from_address(address)).status;
  };
  for (int i = 0; i < 2; ++i) BOOST_TEST(form_from("192.0.2.8") == 200);
  BOOST_TEST(form_from("192.0.2.8") == 429);
  BOOST_TEST(form_from("192.0.2.9") == 200);
}

BOOST_FIXTURE_TEST_CASE(the_body_must_be_json_within_the_limit, fixture) {
  BOOST_TEST(is_problem(answer(sign().with("Content-Type", "text/plain")), 415, "unsupported_type"));
  made.reset(); // also resets the rate
  BOOST_TEST(is_problem(answer(sign("{")), 400, "bad_request"));
  made.reset();
  BOOST_TEST(is_problem(answer(sign(R"({"filename":")" + std::string(1024, 'a') + "\"}")), 413, "payload_too_large"));
}

// --- an upload's state ------------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(key_and_metadata_are_for_callers_who_may_read_them, fixture) {
  BOOST_TEST(shows_key("Bearer good key"));
  BOOST_TEST(!shows_key(""));
  BOOST_TEST(!shows_key("Bearer bad key"));
  BOOST_TEST(!shows_key("Bearer good key", "other"));
  BOOST_TEST(!shows_key("Bearer good key", "default", "ann"));
}

BOOST_FIXTURE_TEST_CASE(an_unknown_upload_is_404_and_a_broken_ledger_503, fixture) {
  BOOST_TEST(is_problem(get("/v1/uploads/" + id), 404, "not_found"));
  BOOST_TEST(is_problem(get("/v1/uploads/not-an-id"), 404, "not_found"));
  ledger.broken = failure(errc::ledger_failed, "the disk of the database");
  const auto refused = get("/v1/uploads/" + id);
  BOOST_TEST(is_problem(refused, 503, "ledger_failed"));
  BOOST_TEST(is_spread(field_of(refused, "Retry-After"), 5));
  BOOST_TEST(!has(refused, "disk")); // for the log only
}

BOOST_FIXTURE_TEST_CASE(a_browser_that_asks_for_events_gets_a_stream, fixture) {
  upload u;
  u.id = id;
  ledger.issue(u);
  test_request asks(http::verb::get, "/v1/uploads/" + id);
  const auto stream = answer(asks.with("Accept", "text/event-stream"));
  BOOST_TEST(stream.content_type == "text/event-stream");
  BOOST_TEST(bool(stream.next_piece));
  BOOST_TEST(field_of(stream, "X-Accel-Buffering") == "no");
  BOOST_TEST(answer(asks.with("Last-Event-ID", "completed")).status == 204);
}

// --- the other endpoints ----------------------------------------------------------------------------

BOOST_FIXTURE_TEST_CASE(a_refused_completion_is_a_page_or_a_problem, fixture) {
  const auto shown = get("/v1/complete/forged");
  BOOST_TEST(shown.status == 403);
  BOOST_TEST(shown.content_type == "text/html; charset=utf-8");
  BOOST_TEST(field_of(shown, "Content-Security-Policy").starts_with("default-src 'self'"));
  test_request script(http::verb::get, "/v1/complete/forged");
  const auto refused = answer(script.with("Accept", "application/json"));
  BOOST_TEST(is_problem(refused, 403, "forbidden"));
  BOOST_TEST(field_of(refused, "Cache-Control") == "no-store");
}

BOOST_FIXTURE_TEST_CASE(events_are_read_from_senders_with_the_token_only, fixture) {
  token = secret("a token for the tests only");
  test_request event(http::verb::post, "/v1/events", R"({"Event":"s3:TestEvent"})");
  BOOST_TEST(answer(event).status == 401);
  const auto taken = answer(event.with("Authorization", "Bearer a token for the tests only"));
  BOOST_TEST(taken.status == 200);
  BOOST_TEST(taken.body == R"({"recorded":0,"ignored":0})");
  test_request large(http::verb::post, "/v1/events", std::string(1025, ' '));
  BOOST_TEST(answer(large).status == 401); // not read
  large.with("Authorization", "Bearer a token for the tests only");
  BOOST_TEST(is_problem(answer(large), 413, "payload_too_large"));
}

BOOST_FIXTURE_TEST_CASE(without_the_demo_its_page_and_script_are_404, fixture) {
  demo = false;
  BOOST_TEST(is_problem(get("/"), 404, "not_found"));
  BOOST_TEST(is_problem(get("/demo.js"), 404, "not_found"));
  BOOST_TEST(get("/postern.js").status == 200);
}

BOOST_FIXTURE_TEST_CASE(a_node_is_not_ready_while_it_drains_or_cannot_write, fixture) {
  node().admin.start_draining();
  BOOST_TEST(admin("/readyz").status == 503);
  BOOST_TEST(admin("/readyz").body.starts_with("draining\n"));
  BOOST_TEST(admin("/readyz?for=sign").status == 503);
  BOOST_TEST(admin("/healthz").status == 200);
}

BOOST_FIXTURE_TEST_CASE(each_part_is_ready_or_says_why_not, fixture) {
  failing["record"] = {errc::unavailable, "the database is away"};
  BOOST_TEST(admin("/readyz").status == 503);
  BOOST_TEST(admin("/readyz").body ==
             "not ready\nsign: ok\nrecord: The service is unavailable at the moment; retry. (the database is away)\n"
             "store: ok\n");
  BOOST_TEST(admin("/readyz?for=sign").status == 200);
  BOOST_TEST(admin("/readyz?for=sign").body == "ready\nsign: ok\n");
  BOOST_TEST(admin("/readyz?for=store,sign").body == "ready\nstore: ok\nsign: ok\n");
  BOOST_TEST(admin("/readyz?for=record").status == 503);
  const auto wrong = admin("/readyz?for=sing");
  BOOST_TEST(is_problem(wrong, 400, "bad_request"));
  BOOST_TEST(has(wrong, "the parts are: sign, record, store"));
  const auto json = admin("/readyz", "application/json");
  BOOST_TEST(json.status == 503);
  BOOST_TEST(json.content_type == "application/json");
  BOOST_TEST(json.body == "{\"ready\":false,\"draining\":false,\"parts\":{\"sign\":{\"ok\":true},\"record\":{"
                          "\"ok\":false,\"reason\":\"The service is unavailable at the moment; retry. (the database "
                          "is away)\"},\"store\":{\"ok\":true}}}");
}

BOOST_FIXTURE_TEST_CASE(a_wrong_filter_is_named_with_its_value, fixture) {
  for (const char* wrong : {"state=nonsense", "since=yesterday", "limit=0x1", "limit=10000"}) {
    const auto refused = admin(std::string("/v1/uploads?") + wrong);
    BOOST_TEST(is_problem(refused, 400, "bad_request"), wrong);
    const std::string value = std::string(wrong).substr(std::string(wrong).find('=') + 1);
    BOOST_TEST(has(refused, value), wrong);
  }
  BOOST_TEST(admin("/v1/uploads?state=completed&since=2026-11-23T18:15:00Z&limit=5").status == 200);
}
