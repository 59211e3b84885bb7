#include <postern/app/doctor/checks.hpp>
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/setup.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/endpoints/client_files.hpp>
#include <postern/io/ledger/make_ledger.hpp>
#include <postern/io/ledger/postgres.hpp>

#include <atomic>
#include <csignal>
#include <unistd.h>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

constexpr auto patience = 10s; // nobody waits longer for a doctor's answer

config hurried(config c) {
  if (c.store.timeout == 0ms || c.store.timeout > patience) c.store.timeout = patience;
  return c;
}

result<bucket_location> place_in(const patient& p, const std::string& bucket) {
  return locate_bucket(s3_options_of(p.c), p.c.store.region, bucket);
}

http_request request_to(const web_url& url, const char* method) {
  http_request r;
  r.to = url.server;
  r.target = url.target;
  r.method = method;
  r.silence = patience;
  return r;
}

} // namespace

patient::patient(config of, report& to, std::string with)
    : c(hurried(std::move(of))), out(to), with_config(std::move(with)), own(c.server.secrets), backend(c, own),
      hooks(c) {
  for (const auto& s : c.server.secrets) out.hide(s.reveal());
  out.hide(c.store.secret_key.reveal());
  out.hide(c.store.session_token.reveal());
}

std::string without_password(const std::string& url) { return url.starts_with("sqlite:") ? url : postgres::shown(url); }

bool is_s3(const patient& p) { return p.c.store.type == "s3"; }

// --- the store --------------------------------------------------------------------------------------

task<finding> check_store(patient& p) {
  if (!is_s3(p)) {
    try {
      (void)p.backend.open(p.c);
    } catch (const std::exception& e) {
      co_return finding::wrong(e.what(), "The user that runs Postern must be able to write there.");
    }
    co_return finding::right("the directory " + p.c.store.path.string());
  }
  auto place = place_in(p, p.c.store.bucket);
  if (!place) co_return finding::wrong(place.error().on, "It must be like https://s3.example.com");
  // Unsigned: whatever it answers, it has answered, and said what time it is.
  const auto ask = request_to({place->at, place->path}, "HEAD");
  auto before = std::chrono::system_clock::now();
  auto answer = co_await p.backend.http.send(ask);
  const auto middle = before + (std::chrono::system_clock::now() - before) / 2;
  const auto url = place->at.origin();
  if (!answer) co_return not_reached(is_aws(p.c) ? "store.region" : "store.endpoint", url, answer.error());
  if (const auto date = parse_http_date(answer->field("date")); date)
    p.ahead = *date - std::chrono::round<std::chrono::seconds>(middle - 500ms); // Date has no fractions: half a second
  if (answer->status >= 502 && answer->status <= 504)
    co_return finding::wrong(url + " answers " + std::to_string(answer->status),
                             "That is a proxy which cannot reach the store behind it, or a store in trouble.");
  co_return finding::right(url + " answers");
}

finding check_clock(const patient& p) {
  if (!is_s3(p)) return finding::untried("a directory has no clock of its own");
  if (!p.ahead) return {verdict::warning, "the store does not say what time it is"};
  return clock_finding(p.c, *p.ahead);
}

// --- keys -------------------------------------------------------------------------------------------

task<finding> check_credentials(patient& p) {
  const auto from = own_source_of(p.c, p.own, p.backend.http);
  auto got = co_await from->fetch();
  if (!got) co_return no_credentials(p.c, got.error());
  p.base = *got;
  p.out.hide(got->keys.secret_key.reveal());
  p.out.hide(got->keys.session_token);
  if (!is_s3(p) && p.c.store.access_key.empty()) co_return finding::right("made from the server's secret");
  auto text = "from the " + got->source + ": access key " + quote(got->keys.access_key);
  if (got->expires) text += ", until " + iso8601(*got->expires);
  co_return finding::right(std::move(text));
}

task<finding> check_role(patient& p) {
  if (!is_s3(p)) co_return finding::untried("a directory needs no role");
  if (p.c.store.role_arn.empty()) co_return finding::untried("store.credentials.role_arn names no role");
  const auto sts = sts_of(p.c);
  const auto role = role_of(p.c);
  const auto now = system_clock_in_seconds()();
  auto got = co_await assume_role(p.backend.http, sts, role, *p.base, now);
  if (got) {
    p.out.hide(got->keys.secret_key.reveal());
    p.out.hide(got->keys.session_token);
    co_return finding::right(p.c.store.role_arn + ", until " + iso8601(*got->expires));
  }
  auto caller = caller_in(got.error().message);
  if (caller.empty() && got.error().status == 403) {
    auto told = co_await caller_identity(p.backend.http, sts, *p.base, now);
    if (told) caller = *told;
  }
  const auto url = parse_web_url(sts.endpoint);
  co_return role_refused(p.c, got.error(), caller, p.base->keys, url ? url->server.authority() : sts.endpoint);
}

// --- buckets ----------------------------------------------------------------------------------------

task<finding> check_bucket(patient& p, std::string bucket) {
  if (!is_s3(p)) co_return finding::untried("a directory has one for every name");
  auto keys = co_await p.backend.credentials.get();
  if (!keys) co_return finding::wrong(describe(keys.error()), "See above: the keys were there a moment ago.");
  p.keys = *keys;
  p.out.hide(p.keys->keys.secret_key.reveal());
  p.out.hide(p.keys->keys.session_token);
  const auto place = place_in(p, bucket);
  const attempt tried{bucket, "s3:ListBucket", place ? place->at.authority() : "", p.keys->keys};
  auto head = co_await p.backend.s3->head_bucket(bucket);
  auto region = p.backend.s3->region_of(bucket);
  if (head && !head->field("x-amz-bucket-region").empty()) region = head->field("x-amz-bucket-region");
  if (region != p.c.store.region) co_return other_region(p.c, bucket, region);
  if (head) co_return finding::right(quote(bucket) + " is there, in " + region);
  if (head.error().status != 403) co_return store_refused(p.c, head.error(), tried);
  // The answer to HEAD has no body that could say why; that to a GET has.
  auto why = co_await p.backend.s3->get_bucket_location(bucket);
  if (!why && why.error().code != "AccessDenied") co_return store_refused(p.c, why.error(), tried);
  const auto refused = store_refused(p.c, why ? head.error() : why.error(), tried);
  // Uploads do not need it, so the next check says whether the bucket can be used.
  co_return finding{verdict::warning,
                    refused.cause + ". Uploads work without it, but an object that is absent looks like one that is "
                                    "forbidden",
                    "`postern setup iam" + p.with_config + "` prints the policy that allows it."};
}

// --- CORS -------------------------------------------------------------------------------------------

namespace {

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

// OPTIONS / HTTP/1.1
// Origin: https://app.example.com
// Access-Control-Request-Method: POST
task<finding> check_origin(patient& p, std::string bucket, std::string origin) {
  const auto urls = direct_urls(p.c);
  const auto url = parse_web_url(urls.at(bucket));
  auto ask = request_to(*url, "OPTIONS");
  ask.fields = {{"Origin", origin}, {"Access-Control-Request-Method", "POST"}};
  auto answer = co_await p.backend.http.send(ask);
  if (!answer)
    co_return not_reached(p.c.store.public_endpoint.empty() ? "store.endpoint" : "store.public_endpoint",
                          url->server.origin(), answer.error());
  // No rule is not answered so (403), but no bucket, or one in another region.
  if (answer->status == 404 || answer->status == 400 || (answer->status >= 300 && answer->status < 400))
    co_return finding::untried("first bucket: the preflight is answered " + std::to_string(answer->status));
  const auto allowed = answer->field("access-control-allow-origin");
  const bool may = answer->status < 300 && (allowed == origin || allowed == "*") &&
                   lists(answer->field("access-control-allow-methods"), "post");
  if (!may) {
    const auto got = answer->status >= 300 ? "the preflight is answered " + std::to_string(answer->status)
                     : allowed.empty()     ? "the preflight is answered without it"
                     : allowed != origin && allowed != "*"
                         ? "the preflight allows " + quote(allowed)
                         : "the preflight allows " + quote(answer->field("access-control-allow-methods"));
    co_return origin_refused(p.c, origin, got, !std::exchange(p.shown_cors, true), p.with_config);
  }
  if (exposes(*answer)) co_return finding::right("pages of " + origin + " may post to " + quote(bucket));
  // Some stores say it with the answer itself only: to no form at all, there is one too.
  ask.method = "POST";
  ask.fields = {{"Origin", origin}, {"Content-Type", "multipart/form-data; boundary=x"}};
  auto refused = co_await p.backend.http.send(ask, "--x--\r\n");
  if (refused && exposes(*refused)) co_return finding::right("pages of " + origin + " may post to " + quote(bucket));
  co_return finding{verdict::warning,
                    "pages of " + origin + " may post, but not read ETag and Location, as some clients (Uppy) must",
                    "`postern setup cors --apply" + p.with_config + "` puts a rule that exposes both."};
}

// --- at home ----------------------------------------------------------------------------------------

task<finding> check_ledger(patient& p) {
  std::unique_ptr<ledger> records; // gone before the loop is, as reply_from wants it
  std::string why;
  try {
    records = make_ledger(ledger_options_of(p.c));
  } catch (const std::exception& e) {
    why = e.what();
  }
  if (records) {
    auto writable = co_await records->flush();
    if (writable) co_return finding::right(without_password(p.c.ledger_url) + " can be written");
    why = "ledger.url: " + without_password(p.c.ledger_url) + " cannot be written: " + writable.error().on;
  }
  co_return finding::wrong(
      why, p.c.ledger_url.starts_with("sqlite:")
               ? "The user that runs Postern must be able to write that file and its folder, and no other program may "
                 "hold it locked. Is this the same user, and the same working directory, as the server's?"
               : "The database must be the primary, and its user be able to create the schema \"postern\", or to "
                 "write the tables in it.");
}

task<finding> check_webhook(patient& p, std::size_t which) {
  const auto& to = p.hooks.endpoints()[which];
  std::string sender = "Postern/" POSTERN_VERSION " doctor";
  auto answer = co_await send_test_webhook(to, std::move(sender), now_millis());
  const auto url = to.at.server.origin() + to.at.target.substr(0, to.at.target.find('?')); // a query may hold a token
  co_return answer ? webhook_answered(which + 1, url, *answer) : webhook_unanswered(which + 1, url, answer.error());
}

namespace {

finding not_postern(const patient& p, const http_response& answer, const std::string& path) {
  const auto url = p.c.server.public_url + path;
  const auto cause = url + " answers " + std::to_string(answer.status);
  if (answer.status >= 301 && answer.status <= 308 && !answer.field("location").empty())
    return finding::wrong(cause + ", to " + quote(answer.field("location"), 200),
                          "Browsers must be sent to the final URL at once: set server.public_url to it.");
  if (answer.status >= 502 && answer.status <= 504)
    return finding::wrong(cause, "The proxy there does not reach Postern. Is `postern serve` running, and does the "
                                 "proxy point to an address in server.listen?");
  return finding::wrong(cause + ", and not as Postern does",
                        "Something else listens there, or a proxy hands on only some paths. Postern needs /v1/, "
                        "/upload/, /form and /postern.js.");
}

} // namespace

task<finding> check_public_url(patient& p) {
  const auto url = parse_web_url(p.c.server.public_url + "/postern.js");
  if (!url) co_return finding::wrong(url.error().on, "It must be like https://uploads.example.com");
  auto ask = request_to(*url, "GET");
  auto answer = co_await p.web.send(ask);
  if (!answer) {
    auto found = not_reached("server.public_url", p.c.server.public_url, answer.error());
    if (answer.error().code == errc::unavailable && found.cause.find("efused") != std::string::npos)
      found.remedy = "`postern serve" + p.with_config +
                     "` must be running (or the proxy in front of it). S3 sends browsers there after an upload "
                     "(success_action_redirect), so nothing is ever complete while nobody answers.";
    co_return found;
  }
  const auto ours = front::client_file("postern.js").value_or(std::string_view{});
  if (answer->status != 200 || answer->body.find("Postern") == std::string::npos)
    co_return not_postern(p, *answer, "/postern.js");
  // Where S3 sends browsers; a claim that is none is refused by Postern, and by nobody else in these words.
  const auto back = parse_web_url(p.c.server.public_url + "/v1/complete/doctor");
  ask.target = back->target;
  ask.fields = {{"Accept", "application/json"}};
  auto refused = co_await p.web.send(ask);
  if (!refused) co_return not_reached("server.public_url", p.c.server.public_url, refused.error());
  if (refused->status != 403 || refused->body.find("\"forbidden\"") == std::string::npos)
    co_return not_postern(p, *refused, "/v1/complete/…");
  p.served = true;
  co_return finding::right("Postern answers at " + p.c.server.public_url +
                           (answer->body == ours ? "" : ", in another version than this program's"));
}

// --- signals ----------------------------------------------------------------------------------------

namespace {

std::atomic<int> standing{0}, asked_to_end{0};

void on_signal(int number) {
  if (standing == 0) _exit(128 + number);
  asked_to_end = number;
}

} // namespace

unbroken::unbroken() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  ++standing;
}

unbroken::~unbroken() {
  if (--standing == 0 && asked_to_end != 0) _exit(128 + asked_to_end);
}

} // namespace postern::app
