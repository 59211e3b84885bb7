#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/events/sns.hpp>
#include <postern/core/http/url.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::size_t max_sns_url = 2048;

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }
failure no(std::string what) { return failure{errc::forbidden, std::move(what)}; }

const std::string* text_member(const json_value& in, std::string_view name) {
  const auto* v = in.find(name);
  return v ? v->if_string() : nullptr;
}

std::optional<sns_message::kind> kind_of(std::string_view type) {
  if (type == "Notification") return sns_message::kind::notification;
  if (type == "SubscriptionConfirmation") return sns_message::kind::subscription_confirmation;
  if (type == "UnsubscribeConfirmation") return sns_message::kind::unsubscribe_confirmation;
  return std::nullopt;
}

bool is_region(std::string_view r) {
  return r.size() >= 3 && r.size() <= 40 && r.front() != '-' && r.back() != '-' &&
         std::all_of(r.begin(), r.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::optional<std::string> region_in(std::string_view host) {
  for (const std::string_view behind : {".amazonaws.com", ".amazonaws.com.cn"}) {
    if (!host.starts_with("sns.") || !host.ends_with(behind) || host.size() <= 4 + behind.size()) continue;
    const auto region = host.substr(4, host.size() - 4 - behind.size());
    if (is_region(region)) return std::string(region);
  }
  return std::nullopt;
}

// An https URL at port 443 whose text begins with exactly that origin: a URL that two readers could take for two
// different servers is refused.
result<sns_url> at_sns(std::string_view url) {
  failure elsewhere = no(quote(url) + " is not at https://sns.<region>.amazonaws.com");
  if (url.size() > max_sns_url || url.find('#') != url.npos) return elsewhere;
  const auto read = parse_web_url(url);
  if (!read || !read->server.tls || read->server.port != 443 || !url.starts_with(read->server.origin()))
    return elsewhere;
  const auto region = region_in(read->server.host);
  if (!region) return elsewhere;
  return sns_url{std::string(url), read->server.host, *region};
}

} // namespace

bool is_sns(const json_value& message) { return text_member(message, "Type") && text_member(message, "TopicArn"); }

result<sns_message> read_sns(const json_value& message) {
  sns_message m;
  const auto take = [&](std::string_view name, std::string& into) -> result<void> {
    const auto* text = text_member(message, name);
    if (!text) return bad("SNS: " + std::string(name) + " is missing");
    into = *text;
    return {};
  };
  std::string type, version, signature;
  for (const auto& [name, into] : {std::pair{"Type", &type},
                                   {"MessageId", &m.id},
                                   {"TopicArn", &m.topic},
                                   {"Message", &m.message},
                                   {"Timestamp", &m.timestamp},
                                   {"SignatureVersion", &version},
                                   {"Signature", &signature},
                                   {"SigningCertURL", &m.certificate_url}})
    if (auto taken = take(name, *into); !taken) return taken.error();
  const auto kind = kind_of(type);
  if (!kind) return bad("SNS: the type " + quote(type) + " is not known");
  m.what = *kind;
  if (m.what == sns_message::kind::notification) {
    if (const auto* subject = text_member(message, "Subject")) m.subject = *subject;
  } else {
    for (const auto& [name, into] : {std::pair{"Token", &m.token}, {"SubscribeURL", &m.subscribe_url}})
      if (auto taken = take(name, *into); !taken) return taken.error();
  }
  if (version != "1" && version != "2")
    return bad("SNS: the signature version " + quote(version, 20) + " is not known");
  m.sha256 = version == "2";
  auto raw = from_base64(signature);
  if (!raw || raw->empty()) return bad("SNS: the signature is not base64");
  m.signature = std::move(*raw);
  auto at = parse_iso8601(m.timestamp);
  if (!at) return bad("SNS: the timestamp " + quote(m.timestamp, 40) + " cannot be read");
  m.at = *at;
  return m;
}

std::string signed_text(const sns_message& m) {
  std::string out;
  const auto add = [&](std::string_view name, std::string_view value) {
    out.append(name).append("\n").append(value).append("\n");
  };
  const bool notification = m.what == sns_message::kind::notification;
  add("Message", m.message);
  add("MessageId", m.id);
  if (notification && m.subject) add("Subject", *m.subject);
  if (!notification) add("SubscribeURL", m.subscribe_url);
  add("Timestamp", m.timestamp);
  if (!notification) add("Token", m.token);
  add("TopicArn", m.topic);
  add("Type", notification                                             ? "Notification"
              : m.what == sns_message::kind::subscription_confirmation ? "SubscriptionConfirmation"
                                                                       : "UnsubscribeConfirmation");
  return out;
}

result<void> check(const sns_message& m, const std::vector<std::string>& topics, seconds_clock now) {
  if (std::find(topics.begin(), topics.end(), m.topic) == topics.end())
    return no("the topic " + quote(m.topic, 300) + " is not among events.sns_topics");
  if (m.at > now + max_clock_skew)
    return no("the SNS message's time is ahead of this machine's clock; check the clock");
  if (m.at < now - longest_sns_delay) return no("the SNS message is older than an hour");
  return {};
}

result<sns_url> certificate_url(std::string_view url) {
  auto at = at_sns(url);
  if (!at) return at;
  if (!url.ends_with(".pem") || url.find('?') != url.npos)
    return no(quote(url) + " does not name a certificate (.pem)");
  return at;
}

result<sns_url> confirmation_url(std::string_view url, std::string_view topic) {
  auto at = at_sns(url);
  if (!at) return at;
  const auto query = url.substr(std::min(url.find('?'), url.size() - 1) + 1);
  const auto action = query_parameter(query, "Action");
  const auto named = query_parameter(query, "TopicArn");
  if (!action || *action != "ConfirmSubscription" || !named || *named != topic)
    return no("the SubscribeURL does not confirm the subscription to this topic");
  return at;
}

// As AWS's own SDK for Java has them (SnsHostProvider): older regions share one certificate, newer ones and other
// partitions have one each.
std::vector<std::string> certificate_names(const sns_url& at) {
  const std::string behind = at.host.ends_with(".cn") ? ".amazonaws.com.cn" : ".amazonaws.com";
  std::vector<std::string> names{at.host, "sns-signing." + at.region + behind, "sns-" + at.region + behind};
  if (behind == ".amazonaws.com") names.push_back("sns.amazonaws.com");
  if (at.region.starts_with("us-gov-")) names.push_back("sns-us-gov-west-1.amazonaws.com");
  return names;
}

bool is_amazon_issuer_url(std::string_view url) {
  const auto read = parse_web_url(url);
  return read && read->server.port == (read->server.tls ? 443 : 80) &&
         read->server.host.ends_with(".amazontrust.com") && is_plain_name(read->server.host) &&
         read->target.ends_with(".cer") && url.find_first_of("?#") == url.npos;
}

} // namespace postern
