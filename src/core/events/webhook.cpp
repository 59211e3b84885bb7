#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/core/events/webhook.hpp>

#include <algorithm>
#include <array>

namespace postern {

using namespace std::chrono_literals;

std::string_view name_of(webhook_type t) {
  switch (t) {
  case webhook_type::completed: return "upload.completed";
  case webhook_type::failed: return "upload.failed";
  case webhook_type::expired: return "upload.expired";
  case webhook_type::overwritten: return "upload.overwritten";
  case webhook_type::removed: return "upload.removed";
  case webhook_type::checking: return "upload.checking";
  case webhook_type::rejected: return "upload.rejected";
  }
  return "";
}

bool webhook_endpoint::wants(webhook_type t) const {
  return std::any_of(types.begin(), types.end(),
                     [&](const auto& w) { return w == "*" || w == "upload.*" || w == name_of(t); });
}

std::string webhook_payload(webhook_type t, const upload& u, millis_clock at) {
  json_writer w;
  w.begin_object();
  w.member("type", name_of(t));
  w.member("timestamp", iso8601_millis(at));
  w.key("data");
  auto text = w.take();
  return text.append(to_json(u, true)).append("}");
}

result<secret> webhook_key(const secret& configured) {
  constexpr std::string_view prefix = "whsec_";
  std::string bytes = configured.reveal();
  if (bytes.starts_with(prefix)) {
    auto decoded = from_base64(std::string_view(bytes).substr(prefix.size()));
    if (!decoded) return failure{errc::invalid_argument, "what follows whsec_ must be base64"};
    bytes = std::move(*decoded);
  }
  if (bytes.size() < 16) return failure{errc::invalid_argument, "a webhook's secret must have at least 16 bytes"};
  return secret(std::move(bytes));
}

std::string webhook_signature(const secret& key, std::string_view id, seconds_clock at, std::string_view payload) {
  std::string text(id);
  text.append(".").append(std::to_string(at.time_since_epoch().count())).append(".").append(payload);
  const auto mac = hmac_sha256(std::string_view(key.reveal()), text);
  return "v1," + to_base64({reinterpret_cast<const char*>(mac.data()), mac.size()});
}

std::optional<std::chrono::milliseconds> webhook_pause(unsigned tries, double chance) {
  static constexpr std::array<std::chrono::milliseconds, 9> pauses{5s, 5min, 30min, 2h, 5h, 10h, 14h, 20h, 24h};
  if (tries == 0 || tries > pauses.size()) return std::nullopt;
  const auto pause = pauses[tries - 1];
  return pause + std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(pause.count()) * chance / 5));
}

} // namespace postern
