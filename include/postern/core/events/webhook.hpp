// Webhooks: their types, payloads, signatures and retry pauses (Standard Webhooks 1.0, standardwebhooks.com). Pure:
// time and randomness are parameters.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/log.hpp>
#include <postern/core/upload.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

enum class webhook_type { completed, failed, expired, overwritten, removed, checking, rejected };
std::string_view name_of(webhook_type t); // "upload.completed"

// An endpoint and the types of messages that it gets: names of types, "upload.*" or "*".
struct webhook_endpoint {
  std::string url;
  std::vector<std::string> types{"*"};

  bool wants(webhook_type t) const;
};

// {"type":"upload.completed","timestamp":"2026-11-23T18:15:00.123Z","data":{…the whole upload…}}
std::string webhook_payload(webhook_type t, const upload& u, millis_clock at);

// The bytes of a configured secret: whsec_ and base64, as in Standard Webhooks; any other text is the secret itself.
// errc::invalid_argument: the text behind whsec_ is not base64, or the secret has fewer than 16 bytes.
result<secret> webhook_key(const secret& configured);

// The value of webhook-signature: "v1," and the base64 of HMAC-SHA256 over "<id>.<timestamp in seconds>.<payload>".
std::string webhook_signature(const secret& key, std::string_view id, seconds_clock at, std::string_view payload);

// The pause after `tries` failed tries: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, a day, each up to a fifth
// longer by `chance` (0 to 1), so that messages that failed together are not retried together. Nothing: no further try.
std::optional<std::chrono::milliseconds> webhook_pause(unsigned tries, double chance);

} // namespace postern
