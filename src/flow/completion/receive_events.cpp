#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/core/s3/served_buckets.hpp>
#include <postern/flow/admission/admit.hpp>
#include <postern/flow/completion/receive_events.hpp>

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

static_assert(longest_sns_delay + max_clock_skew < ledger::message_memory); // older messages are refused

constexpr std::string_view signature_prefix = "sha256=";

const failure& unknown_sender() {
  static const failure f{errc::unauthorized,
                         "send events.token as the bearer token or password, or sign the message as Amazon SNS does"};
  return f;
}

} // namespace

event_receiver::event_receiver(event_receiver_options options, completer& completions, sns& topics, ledger& records)
    : options_(std::move(options)), completer_(completions), sns_(topics), ledger_(records) {}

result<void> event_receiver::check_sender(const event_request& r) const {
  const bool may_be_authentic =
      !options_.sns_topics.empty() || shows_token(r) ||
      (!options_.token.empty() && r.authorization.empty() && r.signature.starts_with(signature_prefix));
  return may_be_authentic ? result<void>{} : unknown_sender();
}

bool event_receiver::shows_token(const event_request& r) const {
  if (options_.token.empty()) return false;
  if (const auto bearer = credentials_of(r.authorization, "Bearer"); bearer && !bearer->empty())
    return is_same(*bearer, options_.token);
  if (const auto basic = credentials_of(r.authorization, "Basic"); basic && !basic->empty()) {
    // user:password, in which only the password may have a colon (RFC 7617 §2)
    const auto pair = from_base64(*basic);
    const auto colon = pair ? pair->find(':') : std::string::npos;
    return colon != std::string::npos && is_same(std::string_view(*pair).substr(colon + 1), options_.token);
  }
  return false;
}

// Counts only when no token is shown: a wrong token is never made good.
bool event_receiver::has_signed(const event_request& r) const {
  if (options_.token.empty() || !r.authorization.empty() || !r.signature.starts_with(signature_prefix)) return false;
  const auto mac = hmac_sha256(options_.token.reveal(), r.body);
  return equal_constant_time(lower(r.signature.substr(signature_prefix.size())), to_hex(mac));
}

task<result<event_counts>> event_receiver::receive(event_request r, millis_clock now) {
  const bool is_authentic = shows_token(r) || has_signed(r);
  auto document = read_json(r.body);
  if (document && is_sns(*document) && !options_.sns_topics.empty()) {
    auto message = read_sns(*document);
    // The sender is not verified yet. The JSON tree is many times larger than its text, and a certificate takes long.
    *document = json_value();
    if (!message) co_return message.error();
    co_return co_await receive_sns(std::move(*message), now);
  }
  if (!is_authentic) co_return unknown_sender();
  if (!document) co_return document.error();
  if (is_sns(*document)) co_return failure{errc::forbidden, "events.sns_topics is empty, so SNS messages are refused"};
  auto events = read_events(*document);
  if (!events) co_return events.error();
  co_return co_await receive_all(std::move(*events), now);
}

task<result<event_counts>> event_receiver::receive_sns(sns_message m, millis_clock now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  // The checks that need no network come before the certificate is fetched.
  if (auto right = check(m, options_.sns_topics, seconds); !right) co_return right.error();
  auto at = certificate_url(m.certificate_url);
  if (!at) co_return at.error();
  auto signer = co_await sns_.signing_certificate(std::move(*at), seconds);
  if (!signer) co_return signer.error();
  const auto how = m.sha256 ? certificate::digest::sha256 : certificate::digest::sha1;
  if (!signer->verifies(how, signed_text(m), m.signature))
    co_return failure{errc::forbidden, "the SNS message's signature does not match its certificate"};
  auto is_known = co_await ledger_.has_message(m.id, now);
  if (!is_known) co_return is_known.error();
  if (*is_known) co_return event_counts{0, 0, 1, 0};

  event_counts counts;
  if (m.what == sns_message::kind::notification) {
    auto document = read_json(m.message);
    if (!document) co_return document.error();
    auto events = read_events(*document);
    if (!events) co_return events.error();
    auto all = co_await receive_all(std::move(*events), now);
    if (!all) co_return all.error();
    counts = *all;
  } else if (m.what == sns_message::kind::subscription_confirmation) {
    auto where = confirmation_url(m.subscribe_url, m.topic);
    if (!where) co_return where.error();
    auto confirmed = co_await sns_.confirm(std::move(*where));
    if (!confirmed) co_return confirmed.error();
    log::info("SNS subscription confirmed", {{"topic", m.topic}});
  } else {
    // Postern does not subscribe again: ending a subscription takes the topic owner's rights.
    log::warning("SNS subscription ended", {{"topic", m.topic}});
  }
  // A message that failed above is sent again under the same id, so it is remembered only here.
  auto noted = co_await ledger_.note_message(m.id, now);
  if (!noted) co_return noted.error();
  co_return counts;
}

task<result<event_counts>> event_receiver::receive_all(event_message message, millis_clock now) {
  event_counts counts;
  std::optional<failure> unrecorded; // an event that the sender must send again
  bucket_names silent;               // whose store gave no answer to an earlier event
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
    auto outcome = co_await completer_.complete_by_event(std::move(e), now, silent);
    if (outcome) {
      ++(*outcome == event_outcome::recorded  ? counts.recorded
         : *outcome == event_outcome::pending ? counts.pending
                                              : counts.ignored);
    } else if (retryable(outcome.error().code)) {
      unrecorded = outcome.error();
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
