#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/receive_events.hpp>

namespace postern {
namespace {

metrics::counter recorded_count("postern_events_total", "Event notifications, by what became of them",
                                "outcome=\"recorded\"");
metrics::counter pending_count("postern_events_total", "Event notifications, by what became of them",
                               "outcome=\"pending\"");
metrics::counter ignored_count("postern_events_total", "Event notifications, by what became of them",
                               "outcome=\"ignored\"");

// What stands behind the scheme, when it is that one.
std::optional<std::string_view> behind(std::string_view authorization, std::string_view scheme) {
  if (authorization.size() <= scheme.size() || !iequals(authorization.substr(0, scheme.size()), scheme))
    return std::nullopt;
  return authorization.substr(scheme.size());
}

// By digest, so that not even the length shows.
bool same(std::string_view said, const secret& token) {
  return equal_constant_time(sha256_hex(said), sha256_hex(token.reveal()));
}

} // namespace

event_receiver::event_receiver(event_receiver_options options, completer& completions, sns& asks)
    : options_(std::move(options)), completer_(completions), sns_(asks) {}

bool event_receiver::knows_token(const event_request& r) const {
  if (options_.token.empty()) return false;
  if (const auto bearer = behind(r.authorization, "Bearer ")) return same(*bearer, options_.token);
  if (const auto basic = behind(r.authorization, "Basic ")) {
    // user:password, in which only the password may have a colon (RFC 7617 §2)
    const auto pair = from_base64(*basic);
    const auto colon = pair ? pair->find(':') : std::string::npos;
    return colon != std::string::npos && same(std::string_view(*pair).substr(colon + 1), options_.token);
  }
  constexpr std::string_view prefix = "sha256=";
  if (!r.signature.starts_with(prefix)) return false;
  const auto mac = hmac_sha256(options_.token.reveal(), r.body);
  return equal_constant_time(lower(r.signature.substr(prefix.size())), to_hex(mac));
}

task<result<event_counts>> event_receiver::receive(event_request r, millis_clock now) {
  const failure unknown{errc::unauthorized, "events need the token of the configuration, or SNS's signature"};
  const bool known = knows_token(r);
  auto document = read_json(r.body);
  if (document && is_sns(*document) && !options_.sns_topics.empty())
    co_return co_await receive_sns(std::move(*document), now);
  if (!known) co_return unknown;
  if (!document) co_return document.error();
  if (is_sns(*document)) co_return failure{errc::forbidden, "an SNS message, but events.sns_topics names no topic"};
  auto events = read_events(*document);
  if (!events) co_return events.error();
  co_return co_await receive_all(std::move(*events), now);
}

task<result<event_counts>> event_receiver::receive_sns(json_value envelope, millis_clock now) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  auto m = read_sns(envelope);
  if (!m) co_return m.error();
  // Everything that costs nothing comes before the certificate.
  if (auto right = check(*m, options_.sns_topics, seconds); !right) co_return right.error();
  auto at = certificate_url(m->certificate_url);
  if (!at) co_return at.error();
  auto signer = co_await sns_.signing_certificate(std::move(*at), seconds);
  if (!signer) co_return signer.error();
  const auto how = m->sha256 ? certificate::digest::sha256 : certificate::digest::sha1;
  if (!signer->verifies(how, signed_text(*m), m->signature))
    co_return failure{errc::forbidden, "the SNS message's signature is not right"};
  if (recent_.has(m->id, seconds)) co_return event_counts{0, 0, 1};

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
    // It could be undone by asking; whoever ended it will have meant it.
    log::warning("SNS subscription ended", {{"topic", m->topic}});
  }
  // Only now: what failed is sent again under the same id.
  recent_.add(m->id, seconds);
  co_return counts;
}

task<result<event_counts>> event_receiver::receive_all(std::vector<object_event> events, millis_clock now) {
  event_counts counts;
  bool silent = false;
  for (auto& e : events) {
    auto came = co_await completer_.by_event(std::move(e), now, silent);
    if (!came) co_return came.error();
    switch (*came) {
    case event_outcome::recorded: ++counts.recorded; break;
    case event_outcome::pending: ++counts.pending; break;
    case event_outcome::ignored: ++counts.ignored; break;
    }
  }
  recorded_count.add(counts.recorded);
  pending_count.add(counts.pending);
  ignored_count.add(counts.ignored);
  co_return counts;
}

} // namespace postern
