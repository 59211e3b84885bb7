#include <postern/app/config/secret_file.hpp>
#include <postern/app/doctor/checks.hpp>
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/secret_watch.hpp>
#include <postern/app/setup/setup.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/endpoints/client_files.hpp>
#include <postern/io/ledger/make_ledger.hpp>
#include <postern/io/s3/presign.hpp>
#include <postern/io/sql/postgres.hpp>

#include <atomic>
#include <csignal>
#include <unistd.h>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

constexpr auto max_wait = 10s; // for one answer

config with_short_timeouts(config c) {
  if (c.store.timeout == 0ms || c.store.timeout > max_wait) c.store.timeout = max_wait;
  return c;
}

result<bucket_location> place_in(const examination& exam, const std::string& bucket) {
  return locate_bucket(s3_options_of(exam.c), exam.c.store.region, bucket);
}

http_request request_to(const web_url& url, const char* method) {
  http_request r;
  r.to = url.server;
  r.target = url.target;
  r.method = method;
  r.idle_timeout = max_wait;
  return r;
}

} // namespace

examination::examination(config of, report& to, std::string config_option_of, const std::string& store_option)
    : c(with_short_timeouts(std::move(of))), out(to), config_option(std::move(config_option_of)),
      setup_options(config_option + store_option), server_signer(c.server.secrets), backend(c, server_signer),
      webhooks(c) {
  for (const auto& s : c.server.secrets) out.hide(s.reveal());
  out.hide(c.store.secret_key.reveal());
  out.hide(c.store.session_token.reveal());
}

std::string without_password(const std::string& url) { return url.starts_with("sqlite:") ? url : postgres::shown(url); }

bool is_s3(const examination& exam) { return exam.c.store.type == "s3"; }

// --- the store --------------------------------------------------------------------------------------

task<finding> check_store(examination& exam) {
  if (!is_s3(exam)) {
    try {
      (void)exam.backend.open(exam.c);
    } catch (const std::exception& e) {
      co_return finding::failed(e.what(), "The user that runs Postern must be able to write in " +
                                              exam.c.store.setting("path") + ".");
    }
    co_return finding::passed("the directory " + exam.c.store.path.string() + " can be used");
  }
  auto place = place_in(exam, exam.c.store.bucket);
  if (!place)
    co_return finding::failed(place.error().on,
                              "Set " + exam.c.store.setting("endpoint") + " to a URL such as https://s3.example.com");
  // The request is not signed: any answer shows that the store is reachable, and its Date field has the store's time.
  const auto ask = request_to({place->at, place->path}, "HEAD");
  auto before = std::chrono::system_clock::now();
  auto answer = co_await exam.backend.http.send(ask);
  const auto middle = before + (std::chrono::system_clock::now() - before) / 2;
  const auto url = place->at.origin();
  if (!answer)
    co_return explain_unreachable(exam.c.store.setting(is_aws(exam.c) ? "region" : "endpoint"), url, answer.error());
  if (const auto date = parse_http_date(answer->field("date")); date)
    // Date is cut to whole seconds, so the store's clock is half a second later on average.
    exam.clock_ahead = *date - std::chrono::round<std::chrono::seconds>(middle - 500ms);
  if (answer->status >= 502 && answer->status <= 504)
    co_return finding::failed(url + " answers " + std::to_string(answer->status),
                              "A proxy answers that cannot reach the store behind it, or the store has a problem of "
                              "its own. Look into their logs.");
  co_return finding::passed(url + " answers");
}

finding check_clock(const examination& exam) {
  if (!is_s3(exam)) return finding::skipped("the file store has no clock of its own");
  if (!exam.clock_ahead) return finding::warning("the store's answer has no Date, so the clocks cannot be compared");
  return judge_clock(exam.c, *exam.clock_ahead);
}

// --- keys -------------------------------------------------------------------------------------------

task<finding> check_credentials(examination& exam) {
  const auto from = own_source_of(exam.c, exam.server_signer, exam.backend.http);
  auto got = co_await from->fetch();
  if (!got) co_return explain_missing_credentials(exam.c, got.error());
  exam.caller = *got;
  exam.out.hide(got->keys.secret_key.reveal());
  exam.out.hide(got->keys.session_token);
  if (!is_s3(exam) && exam.c.store.access_key.empty()) co_return finding::passed("derived from server.secrets");
  auto text = "from the " + got->source + ": access key " + quote(got->keys.access_key);
  if (got->expires) text += ", until " + iso8601(*got->expires);
  co_return finding::passed(std::move(text));
}

task<finding> check_role(examination& exam) {
  if (!is_s3(exam)) co_return finding::skipped("the file store needs no role");
  if (exam.c.store.role_arn.empty())
    co_return finding::skipped(exam.c.store.setting("credentials.role_arn") + " is empty, so no role is assumed");
  const auto sts = sts_of(exam.c);
  const auto role = role_of(exam.c);
  const auto now = system_clock_in_seconds()();
  auto got = co_await assume_role(exam.backend.http, sts, role, *exam.caller, now);
  if (got) {
    exam.out.hide(got->keys.secret_key.reveal());
    exam.out.hide(got->keys.session_token);
    co_return finding::passed(exam.c.store.role_arn + ", until " + iso8601(*got->expires));
  }
  auto caller = find_caller(got.error().message);
  if (caller.empty() && got.error().status == 403) {
    auto identity = co_await caller_identity(exam.backend.http, sts, *exam.caller, now);
    if (identity) caller = *identity;
  }
  const auto url = parse_web_url(sts.endpoint);
  co_return explain_refused_role(exam.c, got.error(), caller, exam.caller->keys,
                                 url ? url->server.authority() : sts.endpoint);
}

// --- buckets ----------------------------------------------------------------------------------------

task<finding> check_bucket(examination& exam, std::string bucket) {
  if (!is_s3(exam)) co_return finding::skipped("the file store makes a folder for every bucket");
  auto keys = co_await exam.backend.credentials.get();
  if (!keys)
    co_return finding::failed(describe(keys.error()),
                              "The check \"credentials\" found some a moment ago. Run the doctor again.");
  exam.keys = *keys;
  exam.out.hide(exam.keys->keys.secret_key.reveal());
  exam.out.hide(exam.keys->keys.session_token);
  const auto place = place_in(exam, bucket);
  const attempt tried{bucket, "s3:ListBucket", place ? place->at.authority() : "", exam.keys->keys};
  auto head = co_await exam.backend.s3->head_bucket(bucket);
  auto region = exam.backend.s3->region_of(bucket);
  if (head && is_region_name(head->field("x-amz-bucket-region"))) region = head->field("x-amz-bucket-region");
  if (region != exam.c.store.region) co_return explain_other_region(exam.c, bucket, region);
  if (head) co_return finding::passed(quote(bucket) + " exists, in the region " + region);
  if (head.error().status != 403) co_return explain_refused_request(exam.c, head.error(), tried);
  // The answer to HEAD has no body. The answer to this GET says why.
  auto why = co_await exam.backend.s3->get_bucket_location(bucket);
  if (!why && why.error().code != "AccessDenied") co_return explain_refused_request(exam.c, why.error(), tried);
  const auto refused = explain_refused_request(exam.c, why ? head.error() : why.error(), tried);
  // Uploads do not need this permission. The next check shows whether the bucket can be used.
  co_return finding::warning(
      refused.cause +
          ". Uploads work without this permission, but Postern cannot tell an absent object from a forbidden one",
      "`postern setup iam" + exam.setup_options + "` prints the policy that allows it.");
}

// --- CORS -------------------------------------------------------------------------------------------

namespace {

// Does the list in a header field contain the word, or everything?
bool lists(std::string_view header, std::string_view word) {
  const auto all = "," + lower(header) + ",", one = lower(word);
  for (auto at = all.find(one); at != all.npos; at = all.find(one, at + 1)) {
    const auto before = all[at - 1], after = all[at + one.size()];
    if ((before == ',' || before == ' ') && (after == ',' || after == ' ')) return true;
  }
  return header == "*";
}

bool exposes(const http_response& answer) {
  const auto header = answer.field("access-control-expose-headers");
  return lists(header, "etag") && lists(header, "location");
}

} // namespace

bool exposes_etag(const http_response& answer) { return lists(answer.field("access-control-expose-headers"), "etag"); }

namespace {

// What keeps a page from sending requests of this method, by the answer to its preflight. Empty: nothing.
std::string find_cors_fault(const http_response& answer, const std::string& origin, const std::string& method) {
  const auto allowed = answer.field("access-control-allow-origin");
  if (answer.status >= 300) return "the preflight is answered with " + std::to_string(answer.status);
  if (allowed.empty()) return "the preflight's answer has no Access-Control-Allow-Origin";
  if (allowed != origin && allowed != "*") return "the preflight allows the origin " + quote(allowed);
  const auto methods = answer.field("access-control-allow-methods");
  return lists(methods, method) ? "" : "the preflight allows the methods " + quote(methods);
}

// A form cannot be posted without reading ETag and Location (Uppy), and the parts of a multipart upload have ETags.
task<finding> check_exposed(examination& exam, http_request preflight, http_response answer, std::string may) {
  const bool posts = exam.used.takes_forms;
  bool is_exposed = posts ? exposes(answer) : exposes_etag(answer) || exam.exposes_etag_of_put;
  if (!is_exposed && posts) {
    // Some stores send Access-Control-Expose-Headers only with the answer to the POST. An empty form gets an answer
    // too.
    const auto origin = preflight.fields.front();
    preflight.method = "POST";
    preflight.fields = {origin, {"Content-Type", "multipart/form-data; boundary=x"}};
    auto refused = co_await exam.backend.http.send(preflight, "--x--\r\n");
    is_exposed = refused && exposes(*refused);
  }
  if (is_exposed) co_return finding::passed(may);
  const auto remedy = exam.used.has_bucket_cors || posts
                          ? "`postern setup cors --apply" + exam.setup_options + "` puts a rule that exposes both."
                          : "In Swift, set in [DEFAULT] of the proxy server: cors_expose_headers = etag";
  co_return finding::warning(may + ", but may not read ETag and Location in the answer, which some clients (Uppy) need",
                             remedy);
}

} // namespace

// OPTIONS / HTTP/1.1
// Origin: https://app.example.com
// Access-Control-Request-Method: POST
task<finding> check_origin(examination& exam, std::string bucket, std::string origin) {
  const auto urls = direct_urls(exam.c);
  const auto direct = urls.find(bucket);
  if (direct == urls.end()) co_return finding::skipped("no profile uploads to " + quote(bucket));
  const bool posts = exam.used.takes_forms;
  if (!posts && !exam.used.takes_presigned_put && !exam.used.takes_presigned_parts)
    co_return finding::skipped("pages upload through Postern only, which accepts the server.allowed_origins");
  auto url = parse_web_url(direct->second);
  if (!posts) { // Swift answers the preflight of a signed URL only
    s3_presigner presigner(*exam.backend.s3);
    object_name any{bucket, "postern-doctor"};
    auto put = co_await presigner.presign_put(std::move(any), signed_body{}, 1min);
    if (!put) co_return finding::skipped("skipped, because no URL can be signed: " + describe(put.error()));
    url = parse_web_url(put->url);
  }
  const std::string method = posts ? "POST" : "PUT";
  auto ask = request_to(*url, "OPTIONS");
  ask.fields = {{"Origin", origin}, {"Access-Control-Request-Method", method}};
  if (!posts) ask.fields.emplace_back("Access-Control-Request-Headers", "content-type");
  auto answer = co_await exam.backend.http.send(ask);
  if (!answer)
    co_return explain_unreachable(
        exam.c.store.setting(exam.c.store.public_endpoint.empty() ? "endpoint" : "public_endpoint"),
        url->server.origin(), answer.error());
  // A bucket without rules answers 403. The other statuses mean that the bucket is absent or in another region.
  if (answer->status == 404 || answer->status == 400 || (answer->status >= 300 && answer->status < 400))
    co_return finding::skipped("skipped, because the bucket answers the preflight with " +
                               std::to_string(answer->status));
  if (const auto fault = find_cors_fault(*answer, origin, lower(method)); !fault.empty()) {
    if (exam.seen && !exam.seen->has_bucket_cors) co_return explain_refused_by_store(origin, method, fault);
    co_return explain_refused_origin(exam.c, origin, fault, !std::exchange(exam.has_shown_cors, true),
                                     exam.setup_options);
  }
  auto may = "pages of " + origin + (posts ? " may post to " : " may put files to ") + quote(bucket);
  co_return co_await check_exposed(exam, std::move(ask), std::move(*answer), std::move(may));
}

// --- Postern itself ---------------------------------------------------------------------------------------

task<finding> check_ledger(examination& exam) {
  std::string why;
  try {
    exam.records = make_ledger(ledger_options_of(exam.c));
  } catch (const std::exception& e) {
    why = e.what();
  }
  if (exam.records) {
    auto writable = co_await exam.records->flush();
    if (writable) co_return finding::passed(without_password(exam.c.ledger.url) + " can be written");
    why = "ledger.url: " + without_password(exam.c.ledger.url) + " cannot be written: " + writable.error().on;
  }
  co_return finding::failed(
      why, exam.c.ledger.url.starts_with("sqlite:")
               ? "The user that runs Postern must be able to write this file and its folder, and no other program may "
                 "lock it. Run the doctor as the server's user and in the server's working directory."
               : "ledger.url must name the primary server, and its user must be able to create the schema \"postern\" "
                 "or to write its tables.");
}

task<finding> check_secrets(examination& exam) {
  if (exam.c.server.lacks_secret_file)
    co_return finding::warning(std::string("there is no ") + default_secret_file + " yet",
                               "`postern serve` makes it at its first start in this working directory. With several "
                               "nodes, make one and give the same file to each of them before they start.");
  if (!exam.records) co_return finding::skipped("skipped, because the check \"ledger\" failed");
  const auto own = exam.server_signer.fingerprints();
  const auto since = now_millis() - lifetime_of_secrets(exam.c.sweep.claim_lifetime);
  auto others = co_await find_other_secrets(*exam.records, own, since);
  if (!others) co_return finding::failed(describe(others.error()), "Run the doctor again.");
  if (others->empty()) co_return finding::passed("no node signs with other secrets than these");
  std::string all;
  for (const auto& one : *others) all.append(all.empty() ? "" : ", ").append(one);
  co_return finding::failed("a node has signed with other server.secrets than these (fingerprint " + all +
                                ", these have " + own.front() + "); each side refuses what the other one signed",
                            "Give every node the same server.secrets: copy the file, or set the same value. To replace "
                            "a secret, first add the "
                            "new one as the last one on every node, then make it the first one.");
}

task<finding> check_webhook(examination& exam, std::size_t index) {
  const auto& to = exam.webhooks.endpoints()[index];
  std::string sender = "Postern/" POSTERN_VERSION " doctor";
  auto answer = co_await send_test_webhook(to, std::move(sender), now_millis());
  const auto url = to.at.server.origin() + to.at.target.substr(0, to.at.target.find('?')); // a query may hold a token
  co_return answer ? judge_webhook_answer(index + 1, url, *answer)
                   : explain_unanswered_webhook(index + 1, url, answer.error());
}

namespace {

finding explain_foreign_answer(const examination& exam, const http_response& answer, const std::string& path) {
  const auto url = exam.c.server.public_url + path;
  const auto cause = url + " answers " + std::to_string(answer.status);
  if (answer.status >= 301 && answer.status <= 308 && !answer.field("location").empty())
    return finding::failed(cause + ", a redirect to " + quote(answer.field("location"), 200),
                           "Set server.public_url to the final URL, so that browsers are sent there at once.");
  if (answer.status >= 502 && answer.status <= 504)
    return finding::failed(cause, "The proxy at server.public_url does not reach Postern. Check that `postern serve` "
                                  "runs, and that the proxy points to an address in server.listen.");
  return finding::failed(cause + "; Postern would answer otherwise",
                         "Another program listens at server.public_url, or a proxy passes only some paths on. Postern "
                         "needs /v1/, /upload/, /form and /postern.js.");
}

} // namespace

task<finding> check_public_url(examination& exam) {
  const auto url = parse_web_url(exam.c.server.public_url + "/postern.js");
  if (!url)
    co_return finding::failed(url.error().on, "Set server.public_url to a URL such as https://uploads.example.com");
  auto ask = request_to(*url, "GET");
  auto answer = co_await exam.browser.send(ask);
  if (!answer) {
    auto found = explain_unreachable("server.public_url", exam.c.server.public_url, answer.error());
    if (answer.error().code == errc::unavailable && found.cause.find("efused") != std::string::npos)
      found.remedy =
          "`postern serve" + exam.config_option +
          "` must be running, and the proxy before it if there is one. After an upload S3 sends the browser to this "
          "URL (success_action_redirect); without an answer the completion comes later, from events or the sweep.";
    co_return found;
  }
  const auto own_script = front::client_file("postern.js").value_or(std::string_view{});
  if (answer->status != 200 || answer->body.find("Postern") == std::string::npos)
    co_return explain_foreign_answer(exam, *answer, "/postern.js");
  // S3 sends browsers to this path. Only Postern rejects an invalid claim with this status and code.
  const auto completion = parse_web_url(exam.c.server.public_url + "/v1/complete/doctor");
  ask.target = completion->target;
  ask.fields = {{"Accept", "application/json"}};
  auto refused = co_await exam.browser.send(ask);
  if (!refused) co_return explain_unreachable("server.public_url", exam.c.server.public_url, refused.error());
  if (refused->status != 403 || refused->body.find("\"forbidden\"") == std::string::npos)
    co_return explain_foreign_answer(exam, *refused, "/v1/complete/…");
  exam.is_served = true;
  co_return finding::passed(
      "Postern answers at " + exam.c.server.public_url +
      (answer->body == own_script ? "" : ", but its postern.js is another version than this program's"));
}

// --- signals ----------------------------------------------------------------------------------------

namespace {

std::atomic<int> deferring{0}, deferred_signal{0};

void on_signal(int number) {
  if (deferring == 0) _exit(128 + number);
  deferred_signal = number;
}

} // namespace

deferred_signals::deferred_signals() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  ++deferring;
}

deferred_signals::~deferred_signals() {
  if (--deferring == 0 && deferred_signal != 0) _exit(128 + deferred_signal);
}

} // namespace postern::app
