// Amazon SNS's messages to an HTTP endpoint: their members, the text that is signed, and which of their URLs may be
// requested. Pure; it follows "Verifying the signatures of Amazon SNS messages" and "HTTP/HTTPS notification JSON
// format" in the SNS developer guide.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/base/json.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct sns_message {
  enum class kind { notification, subscription_confirmation, unsubscribe_confirmation };
  kind what = kind::notification;
  std::string id, topic, message, timestamp;
  std::optional<std::string> subject; // only in notifications that have one
  std::string token, subscribe_url;   // only in confirmations
  std::string certificate_url;
  std::string signature; // raw bytes
  bool sha256 = false;   // SignatureVersion 2; 1 is SHA-1
  seconds_clock at{};    // the timestamp
};

// Does the JSON have the shape of SNS's envelope (a Type and a TopicArn)? Anyone can send that shape.
bool is_sns(const json_value& message);

// errc::bad_request: a member is missing or cannot be parsed.
result<sns_message> read_sns(const json_value& message);

// The text that is signed: name LF value LF for each signed member, in byte order of the names.
std::string signed_text(const sns_message& m);

// The checks that need no certificate: the topic is one of ours, and the message is at most an hour old.
// errc::forbidden.
result<void> check(const sns_message& m, const std::vector<std::string>& topics, seconds_clock now);
constexpr std::chrono::seconds longest_sns_delay{3600}; // SNS retries for an hour at most
constexpr std::chrono::seconds max_clock_skew{300};     // between SNS's clock and ours

// A URL of SNS.
struct sns_url {
  std::string url;  // unchanged
  std::string host; // sns.<region>.amazonaws.com or sns.<region>.amazonaws.com.cn
  std::string region;
};
// Accepts only https, port 443 and exactly such a host. errc::forbidden.
result<sns_url> certificate_url(std::string_view url); // a path that ends in .pem, without a query
// Accepts only a URL that confirms the subscription to this topic.
result<sns_url> confirmation_url(std::string_view url, std::string_view topic);

// A signing certificate from that URL must have one of these names: SNS's own, which most regions use, or the region's.
std::vector<std::string> certificate_names(const sns_url& at);

// SNS serves its certificates without their issuer's. This accepts only URLs of Amazon Trust Services for fetching the
// issuer's certificate; the chain then proves the certificate.
bool is_amazon_issuer_url(std::string_view url);

} // namespace postern
