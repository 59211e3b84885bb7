#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/flow/admit.hpp>
#include <postern/flow/form_rules.hpp>
#include <postern/flow/receive_events.hpp>

namespace postern {
namespace {

metrics::counter recorded_count("postern_events_total", "Event notifications, by what became of them",
                                "outcome=\"recorded\"");
metrics::counter pending_count("postern_events_total", "Event notifications, by what became of them",
                               "outcome=\"pending\"");
metrics::counter ignored_count("postern_events_total", "Event notifications, by what became of them",
                               "outcome=\"ignored\"");
metrics::counter rejected_count("postern_events_total", "Event notifications, by what became of them",
                                "outcome=\"rejected\"");

// Compares digests, so that timing does not reveal even the length.
bool is_same(std::string_view shown, const secret& token) {
  return equal_constant_time(sha256_hex(shown), sha256_hex(token.reveal()));
}

} // namespace

event_receiver::event_receiver(event_receiver_options options, completer& completions, sns& topics)
    : options_(std::move(options)), completer_(completions), sns_(topics) {}

bool event_receiver::has_token(const event_request& r) const {
  if (options_.token.empty()) return false;
  if (const auto bearer = credentials_of(r.authorization, "Bearer"); bearer && !bearer->empty())
    return is_same(*bearer, options_.token);
  if (const auto basic = credentials_of(r.authorization, "Basic"); basic && !basic->empty()) {
    // user:password, in which only the password may have a colon (RFC 7617 §2)
    const auto pair = from_base64(*basic);
    const auto colon = pair ? pair->find(':') : std::string::npos;
    return colon != std::string::npos && is_same(std::string_view(*pair).substr(colon + 1), options_.token);
  }
  constexpr std::string_view prefix = "sha256=";
  if (!r.signature.starts_with(prefix)) return false;
  const auto mac = hmac_sha256(options_.token.reveal(), r.body);
  return equal_constant_time(lower(r.signature.substr(prefix.size())), to_hex(mac));
}

task<result<event_counts>> event_receiver::receive(event_request r, millis_clock now) {
  const failure unknown{errc::unauthorized,
                        "send events.token as the bearer token or password, or sign the message as Amazon SNS does"};
  const bool is_authentic = has_token(r);
  auto document = read_json(r.body);
  if (document && is_sns(*document) && !options_.sns_topics.empty())
    co_return co_await receive_sns(std::move(*document), now);
  if (!is_authentic) co_return unknown;
  if (!document) co_return document.error();
  if (is_sns(*document)) co_return failure{errc::forbidden, "events.sns_topics is empty, so SNS messages are refused"};
  auto events = read_events(*document);
  if (!events) co_return events.error();
  co_return co_await receive_all(std::move(*events), now);
}

task<result<event_counts>> event_receiver::receive_sns(json_value envelope, millis_clock now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  auto m = read_sns(envelope);
  if (!m) co_return m.error();
  // The checks that need no network come before the certificate is fetched.
  if (auto right = check(*m, options_.sns_topics, seconds); !right) co_return right.error();
  auto at = certificate_url(m->certificate_url);
  if (!at) co_return at.error();
  auto signer = co_await sns_.signing_certificate(std::move(*at), seconds);
  if (!signer) co_return signer.error();
  const auto how = m->sha256 ? certificate::digest::sha256 : certificate::digest::sha1;
  if (!signer->verifies(how, signed_text(*m), m->signature))
    co_return failure{errc::forbidden, "the SNS message's signature does not match its certificate"};
  if (recent_.has(m->id, seconds)) co_return event_counts{0, 0, 1, 0};

  event_counts counts;
  if (m->what == sns_message::kind::notification) {
    auto document = read_json(m->message);
    if (!document) co_return document.error();
    auto events = read_events(*document);
    if (!events) co_return events.error();
    auto all = co_await receive_all(std::move(*events), now);
    if (!all) co_return all.error();
    counts = *all;
  } else if (m->what == sns_message::kind::subscription_confirmation) {
    auto where = confirmation_url(m->subscribe_url, m->topic);
    if (!where) co_return where.error();
    auto confirmed = co_await sns_.confirm(std::move(*where));
    if (!confirmed) co_return confirmed.error();
    log::info("SNS subscription confirmed", {{"topic", m->topic}});
  } else {
    // Postern does not subscribe again: ending a subscription takes the topic owner's rights.
    log::warning("SNS subscription ended", {{"topic", m->topic}});
  }
  // A message that failed above is sent again under the same id, so it is remembered only here.
  recent_.add(m->id, seconds);
  co_return counts;
}

task<result<event_counts>> event_receiver::receive_all(event_message message, millis_clock now) {
  event_counts counts;
  std::optional<failure> unrecorded; // an event that the sender must send again
  bool store_is_silent = false;
  for (const auto& why : message.rejected) {
    log::warning("event rejected", {{"why", why}});
    ++counts.rejected;
  }
  for (auto& e : message.events) {
    if (e.created && !is_served(options_.buckets, e.bucket)) {
      ++counts.ignored;
      continue;
    }
    const auto bucket = e.bucket, key = e.key;
    auto outcome = co_await completer_.complete_by_event(std::move(e), now, store_is_silent);
    if (outcome) {
      ++(*outcome == event_outcome::recorded  ? counts.recorded
         : *outcome == event_outcome::pending ? counts.pending
                                              : counts.ignored);
    } else if (retryable(outcome.error().code)) {
      unrecorded = std::move(outcome.error());
    } else {
      log::warning("event rejected", {{"bucket", bucket}, {"key", key}, {"why", describe(outcome.error())}});
      ++counts.rejected;
    }
  }
  recorded_count.add(counts.recorded);
  pending_count.add(counts.pending);
  ignored_count.add(counts.ignored);
  rejected_count.add(counts.rejected);
  if (unrecorded) co_return std::move(*unrecorded);
  co_return counts;
}

} // namespace postern
