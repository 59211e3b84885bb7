#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/http/url.hpp>
#include <postern/flow/form_rules.hpp>
#include <postern/front/endpoints/watch.hpp>
#include <postern/front/routes.hpp>

#include <algorithm>
#include <array>
#include <iterator>

namespace postern::front {
namespace {

metrics::counter signed_count("postern_signed_total", "Forms signed", "");
metrics::histogram signing_seconds("postern_signing_seconds", "Time to sign a form", "");
// One counter for each class of status: 2xx to 5xx.
struct answered {
  explicit answered(const std::string& route) {
    for (const char digit : {'2', '3', '4', '5'})
      classes.push_back(std::make_unique<metrics::counter>("postern_requests_total",
                                                           "Requests answered, by route and class of status",
                                                           "route=\"" + route + "\",status=\"" + digit + "xx\""));
  }
  void count(int status) { classes[static_cast<std::size_t>(std::clamp(status / 100, 2, 5) - 2)]->add(); }
  std::vector<std::unique_ptr<metrics::counter>> classes;
};

// The whole body as text, at most `most` bytes.
task<result<std::string>> read_text(byte_source& body, std::size_t max) {
  const auto too_large = failure{errc::payload_too_large, "at most " + std::to_string(max) + " bytes of JSON"};
  if (body.announced().value_or(0) > max) co_return too_large;
  std::string text;
  std::array<char, 4096> piece;
  for (;;) {
    auto n = co_await body.read_some(piece);
    if (!n) co_return n.error();
    if (*n == 0) co_return text;
    if (text.size() + *n > max) co_return too_large;
    text.append(piece.data(), *n);
  }
}

bool accepts(const request& r, std::string_view type) {
  const auto accept = r.field(http::field::accept);
  return accept.find(type) != accept.npos;
}
bool wants_json(const request& r) { return accepts(r, "application/json"); }

} // namespace

// --- the table --------------------------------------------------------------------------------------

struct routes::route {
  std::string_view path; // ends in /: one more part follows, which is passed decoded
  http::verb verb;
  task<response> (routes::*answer)(request&, std::string);
  mutable answered counts{std::string(http::to_string(verb)) + " " + std::string(path)};
};

const routes::route routes::public_routes[] = {
    {"/v1/uploads", http::verb::post, &routes::sign},
    {"/v1/uploads/", http::verb::get, &routes::status},
    {"/upload/", http::verb::post, &routes::fallback},
    {"/v1/complete/", http::verb::get, &routes::complete},
    {"/v1/events", http::verb::post, &routes::events},
    {"/form", http::verb::get, &routes::form_page},
    {"/", http::verb::get, &routes::demo_page},
    {"/postern.js", http::verb::get, &routes::static_file},
    {"/postern.mjs", http::verb::get, &routes::static_file},
    {"/complete.js", http::verb::get, &routes::static_file},
    {"/page.css", http::verb::get, &routes::static_file},
    {"/icon.svg", http::verb::get, &routes::static_file},
    {"/demo.js", http::verb::get, &routes::static_file},
};

const routes::route routes::admin_routes[] = {
    {"/healthz", http::verb::get, &routes::healthz},
    {"/readyz", http::verb::get, &routes::readyz},
    {"/metrics", http::verb::get, &routes::metrics_page},
    {"/v1/uploads", http::verb::get, &routes::list},
};

routes::routes(routes_options options, form_signer& forms, form_ingest& ingest, const transfers& carriers,
               completer& completions, event_receiver& events, ledger& records, upload_feed& changes)
    : options_(std::move(options)), admission_(options_.admit), form_signer_(forms), ingest_(ingest),
      transfers_(carriers), completer_(completions), event_receiver_(events), ledger_(records), feed_(changes) {}

task<response> routes::answer_public(request& r) {
  return dispatch(std::begin(public_routes), std::end(public_routes), r);
}
task<response> routes::answer_admin(request& r) {
  return dispatch(std::begin(admin_routes), std::end(admin_routes), r);
}

task<response> routes::dispatch(const route* first, const route* last, request& r) {
  const auto matches = [&](const route& one) {
    if (one.path.size() == 1 || !one.path.ends_with('/')) return r.path == one.path;
    return r.path.size() > one.path.size() && r.path.starts_with(one.path) &&
           r.path.find('/', one.path.size()) == r.path.npos;
  };
  const auto verb = r.method == http::verb::head ? http::verb::get : r.method;
  std::string verbs;
  response answer;
  const route* found = nullptr;
  for (auto one = first; one != last && !found; ++one) {
    if (!matches(*one)) continue;
    if (one->verb == verb)
      found = one;
    else
      verbs.append(verbs.empty() ? "" : ", ").append(http::to_string(one->verb));
  }
  if (found) {
    const auto prefix = found->path.ends_with('/') ? found->path.size() : r.path.size();
    auto rest = uri_decode(r.path.substr(std::min(prefix, r.path.size())));
    if (rest) {
      auto text = std::move(*rest);
      answer = co_await (this->*found->answer)(r, std::move(text));
    } else {
      answer = problem(failure{errc::bad_request, "the path's percent-encoding"}, r.id);
    }
  } else if (!verbs.empty() && r.method == http::verb::options) {
    answer = preflight(r, verbs);
  } else if (!verbs.empty()) {
    answer = problem(failure{errc::method_not_allowed, std::string(http::to_string(r.method))}, r.id);
    answer.with("Allow", verbs + ", OPTIONS");
  } else {
    answer = problem(failure{errc::not_found, "this path"}, r.id);
  }
  static answered others("other");
  (found ? found->counts : others).count(answer.status);
  if (log::enabled(log::level::debug))
    log::debug("request", {{"request", r.id},
                           {"client", r.client},
                           {"method", std::string(http::to_string(r.method))},
                           {"status", answer.status}});
  co_return answer;
}

// --- who and from where -----------------------------------------------------------------------------

// The caller's key, and a page's origin: one that is not listed may not sign, whatever else it brings.
result<admitted> routes::admit(const request& r) const {
  auto who = admission_.who(r.field(http::field::authorization));
  if (!who) return who;
  const auto origin = r.field(http::field::origin);
  if (!origin.empty() && !admission_.knows_origin(origin) &&
      !admission_.is_same_host(origin, r.field(http::field::host), r.secure))
    return failure{errc::forbidden, "origin " + quote(origin) + " is not among server.allowed_origins"};
  return who;
}

void routes::allow_origin(const request& r, response& answer) const {
  const auto origin = r.field(http::field::origin);
  answer.with("Vary", "Origin");
  if (origin.empty() || !admission_.knows_origin(origin)) return;
  answer.with("Access-Control-Allow-Origin", std::string(origin))
      .with("Access-Control-Expose-Headers", "ETag, Location, Retry-After, X-Request-Id");
}

response routes::preflight(const request& r, std::string_view verbs) const {
  response answer;
  answer.status = 204;
  // A redirect from the store leads a script here with Origin: null, and browsers ask before they follow it.
  if (r.path.starts_with("/v1/complete/"))
    answer.with("Access-Control-Allow-Origin", "*");
  else
    allow_origin(r, answer);
  answer.with("Access-Control-Allow-Methods", std::string(verbs))
      .with("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept")
      .with("Access-Control-Max-Age", "600");
  return answer;
}

// --- endpoints --------------------------------------------------------------------------------------

task<response> routes::sign(request& r, std::string) {
  const auto begin = std::chrono::steady_clock::now();
  const auto run = [&]() -> task<result<signed_form>> {
    auto who = admit(r);
    if (!who) co_return who.error();
    if (auto counted = admission_.count(who->key ? who->key->name : r.client, begin); !counted)
      co_return counted.error();
    if (!type_matches("application/json", r.field(http::field::content_type)))
      co_return failure{errc::unsupported_type, "the body must be application/json"};
    auto text = co_await read_text(r.body, options_.json_body ? options_.json_body : 16 << 20);
    if (!text) co_return text.error();
    auto ask = parse_sign_request(*text);
    if (!ask) co_return ask.error();
    if (!who->may_use(ask->profile)) co_return failure{errc::forbidden, "this key may not use that profile"};
    ask->origin = std::string(r.field(http::field::origin));
    caller who_asks;
    if (who->key) who_asks.name = who_asks.user = who->key->name;
    co_return form_signer_.sign(*ask, who_asks, now_millis());
  };
  auto form = co_await run();
  auto answer = form ? text_answer(201, "application/json", to_json(*form)) : problem(form.error(), r.id);
  if (form) {
    answer.with("Location", form->status_url).with("Cache-Control", "no-store");
    signed_count.add();
    signing_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    if (log::enabled(log::level::debug))
      log::debug("signed", {{"request", r.id}, {"upload", form->id}, {"bucket", form->bucket}});
  }
  allow_origin(r, answer);
  co_return answer;
}

task<response> routes::status(request& r, std::string id) {
  const bool is_stream = accepts(r, "text/event-stream");
  result<upload> found = failure{errc::not_found, "the upload"};
  std::optional<upload_feed::subscription> changes;
  if (is_uuid(id)) {
    if (is_stream) {
      auto subscribed = feed_.subscribe(id, co_await asio::this_coro::executor);
      if (!subscribed)
        found = subscribed.error();
      else
        changes.emplace(std::move(*subscribed)); // before the row is read, so that no change is missed
    }
    if (!is_stream || changes) found = co_await ledger_.find(id);
  }
  const auto who = admission_.who(r.field(http::field::authorization));
  const bool whole = who && found && who->may_use(found->profile);
  response answer;
  if (!found) {
    answer = problem(found.error(), r.id);
  } else if (!is_stream) {
    if (const auto here = transfers_.received(id)) found->received = here;
    answer = text_answer(200, "application/json", to_json(*found, whole));
  } else if (was_last_event(r.fields["Last-Event-ID"])) {
    answer.status = 204;
  } else {
    answer = text_answer(200, "text/event-stream", "retry: 2000\n\n");
    const auto received = [this, id] { return transfers_.received(id); };
    auto watch = std::make_shared<upload_watch>(std::move(*found), whole, std::move(*changes), received);
    answer.more = [watch] { return watch->next(); };
    answer.with("X-Accel-Buffering", "no"); // nginx would collect events
  }
  answer.with("Cache-Control", "no-store");
  allow_origin(r, answer);
  co_return answer;
}

task<response> routes::fallback(request& r, std::string bucket) {
  form_request ask{bucket, std::string(r.field(http::field::content_type))};
  auto done = co_await ingest_.take(std::move(ask), r.body);
  response answer;
  if (!done) {
    const auto& no = done.error();
    if (no.return_to.empty())
      answer = s3_error(no.why, r.path, r.id);
    else
      answer = redirect_to(no.return_to);
    // What the rest of the body would say is of no interest any more.
    answer.close = true;
  } else {
    const auto location =
        options_.public_url + "/upload/" + uri_encode(done->bucket) + "/" + uri_encode(done->key, true);
    const auto etag = '"' + done->object.etag + '"';
    if (!done->redirect.empty()) {
      answer = redirect_to(done->redirect);
    } else {
      answer.status = done->status;
      if (done->status == 201)
        answer =
            text_answer(201, "application/xml",
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>" + xml_escape(location) +
                            "</Location><Bucket>" + xml_escape(done->bucket) + "</Bucket><Key>" +
                            xml_escape(done->key) + "</Key><ETag>" + xml_escape(etag) + "</ETag></PostResponse>");
      answer.with("Location", location);
    }
    answer.with("ETag", etag);
  }
  allow_origin(r, answer);
  co_return answer;
}

// Three kinds of asker: one that is to be sent back to the application, one that reads JSON, and a browser's window or
// frame.
task<response> routes::complete(request& r, std::string token) {
  const auto parameter = [&](std::string_view name) -> std::optional<std::string> {
    auto value = query_parameter(r.query, name);
    return value ? std::optional<std::string>(std::move(*value)) : std::nullopt;
  };
  redirect_parameters said{parameter("bucket"), parameter("key"), parameter("etag")};
  auto done = co_await completer_.by_redirect(std::move(token), std::move(said), now_millis());
  response answer;
  if (!done) {
    log::info("completion refused", {{"request", r.id}, {"why", describe(done.error())}});
    answer = problem(done.error(), r.id);
    if (!wants_json(r)) {
      auto page = complete_page(answer.status, "Upload not confirmed", text_for_client(done.error()), answer.body, "");
      std::swap(page.body, answer.body);
      answer.content_type = page.content_type;
    }
  } else {
    const int status = done->is_pending ? 202 : 200;
    const std::string_view state = done->is_pending ? "pending" : name_of(done->recorded.state);
    json_writer pending;
    pending.begin_object();
    pending.member("id", done->recorded.id);
    pending.member("state", "pending");
    pending.end_object();
    auto json = done->is_pending ? pending.take() : to_json(done->recorded, true);
    if (wants_json(r)) {
      answer = text_answer(status, "application/json", std::move(json));
    } else if (!done->claimed.return_to.empty() && !done->is_pending) {
      answer =
          redirect_to(with_parameter(with_parameter(done->claimed.return_to, "id", done->recorded.id), "state", state));
    } else {
      answer = done->is_pending
                   ? complete_page(status, "Upload received", "It is being confirmed. Reload this page in a moment.",
                                   json, done->claimed.origin)
                   : complete_page(status, "Upload complete", done->recorded.key, json, done->claimed.origin);
    }
    if (done->is_pending) answer.with("Retry-After", "5");
  }
  if (answer.content_type != "text/html; charset=utf-8") answer.with("Cache-Control", "no-store");
  // The redirected request of another origin's page has Origin: null, and the claim is all the authority there is.
  answer.with("Access-Control-Allow-Origin", "*");
  co_return answer;
}

// For stores, not for pages: no CORS. SNS sends a body of up to 256 KiB as text/plain, so the type says nothing.
task<response> routes::events(request& r, std::string) {
  const auto run = [&]() -> task<result<event_counts>> {
    if (!event_receiver_.is_open()) co_return failure{errc::unauthorized, "no sender of events is configured"};
    auto text = co_await read_text(r.body, options_.json_body ? options_.json_body * 4 : 16 << 20);
    if (!text) co_return text.error();
    const auto signature = r.fields.find("X-Postern-Signature");
    const auto mac = signature == r.fields.end() ? std::string_view{} : std::string_view(signature->value());
    const event_request said{r.field(http::field::authorization), mac, *text};
    co_return co_await event_receiver_.receive(said, now_millis());
  };
  auto counts = co_await run();
  if (!counts) {
    log::info("events refused", {{"request", r.id}, {"client", r.client}, {"why", describe(counts.error())}});
    auto answer = problem(counts.error(), r.id);
    // SNS sends the credentials of its URL only when it is asked for them so.
    if (answer.status == 401) answer.with("WWW-Authenticate", "Basic realm=\"events\"");
    co_return answer;
  }
  json_writer w;
  w.begin_object();
  w.member("recorded", static_cast<std::uint64_t>(counts->recorded));
  if (counts->pending) w.member("pending", static_cast<std::uint64_t>(counts->pending));
  w.member("ignored", static_cast<std::uint64_t>(counts->ignored));
  w.end_object();
  co_return text_answer(counts->pending ? 202 : 200, "application/json", w.take());
}

// --- admin ------------------------------------------------------------------------------------------

task<response> routes::healthz(request&, std::string) { co_return text_answer(200, "text/plain", "ok\n"); }

task<response> routes::readyz(request&, std::string) {
  if (draining_) co_return text_answer(503, "text/plain", "draining\n");
  auto writable = co_await ledger_.flush();
  co_return writable ? text_answer(200, "text/plain", "ready\n")
                     : text_answer(503, "text/plain", "ledger: " + describe(writable.error()) + "\n");
}

task<response> routes::metrics_page(request&, std::string) {
  co_return text_answer(200, "text/plain; version=0.0.4", metrics::print_all());
}

task<response> routes::list(request& r, std::string) {
  upload_filter filter;
  if (auto state = query_parameter(r.query, "state"); state && !state->empty()) {
    filter.state = upload_state_of(*state);
    if (!filter.state)
      co_return problem(failure{errc::bad_request, "state must be issued, receiving, completed, failed or expired"},
                        r.id);
  }
  if (auto since = query_parameter(r.query, "since"); since && !since->empty()) {
    auto moment = parse_iso8601(*since);
    if (!moment) co_return problem(failure{errc::bad_request, "since must be like 2026-11-23T18:15:00Z"}, r.id);
    filter.since = *moment;
  }
  if (auto after = query_parameter(r.query, "after")) filter.after_id = *after;
  if (auto limit = query_parameter(r.query, "limit"); limit && !limit->empty()) {
    const auto n = parse_number(*limit);
    if (!n || *n > 9999) co_return problem(failure{errc::bad_request, "limit must be 1 to 9999"}, r.id);
    filter.limit = std::max<std::size_t>(1, *n);
  }
  auto found = co_await ledger_.list(filter);
  if (!found) co_return problem(found.error(), r.id);
  std::string lines;
  for (auto& u : *found) {
    if (const auto here = transfers_.received(u.id)) u.received = here;
    lines.append(to_json(u, true)).append("\n");
  }
  co_return text_answer(200, "application/x-ndjson", std::move(lines));
}

} // namespace postern::front
