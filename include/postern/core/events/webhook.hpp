// What an application is told of an upload, and how: Standard Webhooks (standardwebhooks.com, specification 1.0). Pure:
// time and chance arrive as parameters.
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

enum class webhook_type { completed, failed, expired, overwritten };
std::string_view name_of(webhook_type t); // "upload.completed"

// Where messages go, and which: names of types, "upload.*" or "*".
struct webhook_endpoint {
  std::string url;
  std::vector<std::string> types{"*"};

  bool wants(webhook_type t) const;
};

// {"type":"upload.completed","timestamp":"2026-11-23T18:15:00.123Z","data":{…the whole upload…}}
std::string webhook_payload(webhook_type t, const upload& u, millis_clock at);

// The bytes of a secret as it is configured: whsec_ and base64, as Standard Webhooks writes them; other text stands for
// itself. errc::invalid_argument when what follows whsec_ is not base64, or when there are fewer than 16 bytes.
result<secret> webhook_key(const secret& configured);

// The value of webhook-signature: "v1," and the base64 of HMAC-SHA256 over "<id>.<timestamp in seconds>.<payload>".
std::string webhook_signature(const secret& key, std::string_view id, seconds_clock at, std::string_view payload);

// How long to wait after `tries` failed ones: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, a day, each up to a fifth
// longer by `chance` (0 to 1), so that those which failed together do not come back together. Nothing: no more tries.
std::optional<std::chrono::milliseconds> webhook_pause(unsigned tries, double chance);

} // namespace postern
