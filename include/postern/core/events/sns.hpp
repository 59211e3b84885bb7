// Amazon SNS's messages to an HTTP endpoint: what is in them, what of it is signed, and which URLs in them may be
// asked. Pure; it follows "Verifying the signatures of Amazon SNS messages" and "HTTP/HTTPS notification JSON format"
// in the SNS developer guide.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/base/json.hpp>

#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

namespace postern {

struct sns_message {
  enum class kind { notification, subscription_confirmation, unsubscribe_confirmation };
  kind what = kind::notification;
  std::string id, topic, message, timestamp;
  std::optional<std::string> subject; // notifications only, and only where there is one
  std::string token, subscribe_url;   // confirmations only
  std::string certificate_url;
  std::string signature; // raw bytes
  bool sha256 = false;   // SignatureVersion 2; 1 is SHA-1
  seconds_clock at{};    // the timestamp
};

// Has this the shape of SNS's envelope (a Type and a TopicArn)? Nothing is said about who made it.
bool is_sns(const json_value& message);

// errc::bad_request: a member is missing, or cannot be read.
result<sns_message> read_sns(const json_value& message);

// What the signature is over: name LF value LF for each signed member, in byte order of the names.
std::string signed_text(const sns_message& m);

// Believable before any certificate is looked at: its topic is among ours, and it was made within the last hour.
// errc::forbidden.
result<void> check(const sns_message& m, const std::vector<std::string>& topics, seconds_clock now);
constexpr std::chrono::seconds longest_sns_delay{3600}; // SNS retries for an hour at most
constexpr std::chrono::seconds max_clock_skew{300};     // how far ahead its clock, or behind ours, may be

// Where SNS may be asked.
struct sns_url {
  std::string url;  // as it was written
  std::string host; // sns.<region>.amazonaws.com or sns.<region>.amazonaws.com.cn
  std::string region;
};
// https, port 443, exactly such a host, nothing before it. errc::forbidden.
result<sns_url> certificate_url(std::string_view url); // a path that ends in .pem, without a query
// The URL that confirms the subscription to this topic, and no other action.
result<sns_url> confirmation_url(std::string_view url, std::string_view topic);

// The names of which a signing certificate that was fetched from there must have one: SNS's own, which is that of most
// regions, or the region's.
std::vector<std::string> certificate_names(const sns_url& at);

// Where the issuer of a certificate may be fetched that came without it, as SNS's do: Amazon Trust Services and nobody
// else. What comes from there proves itself by the chain.
bool is_amazon_issuer_url(std::string_view url);

// The ids of the messages that were taken during the last hour, so that one that is sent again is known. Any thread.
class recent_messages {
public:
  explicit recent_messages(std::size_t max = 100'000) : max_(max) {}
  bool has(const std::string& id, seconds_clock now);
  void add(const std::string& id, seconds_clock now);

private:
  void forget(seconds_clock now);
  const std::size_t max_;
  std::mutex mutex_;
  std::unordered_set<std::string> ids_;
  std::deque<std::pair<seconds_clock, std::string>> by_age_;
};

} // namespace postern
