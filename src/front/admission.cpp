#include <postern/base/digest.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/admission.hpp>

#include <algorithm>

namespace postern::front {
namespace {

constexpr std::size_t max_buckets = 100'000; // forgotten beyond that, oldest rule: all full ones first

} // namespace

bool admitted::may_use(std::string_view profile) const {
  return !key || std::any_of(key->profiles.begin(), key->profiles.end(),
                             [&](const auto& p) { return p == "*" || p == profile; });
}

admission::admission(admission_options options)
    : options_(std::move(options)), own_origin_(origin_of(options_.public_url)) {}

result<admitted> admission::who(std::string_view authorization) const {
  if (authorization.empty()) {
    if (options_.anonymous) return admitted{};
    return failure{errc::unauthorized, "an API key as Authorization: Bearer is needed"};
  }
  if (authorization.size() < 7 || !iequals(authorization.substr(0, 7), "Bearer "))
    return failure{errc::unauthorized, "the Authorization must be Bearer"};
  const auto digest = sha256_hex(authorization.substr(7));
  const api_key* found = nullptr;
  for (const auto& k : options_.api_keys) // all of them, so that the time does not tell which
    if (equal_constant_time(k.sha256, digest)) found = &k;
  if (!found) return failure{errc::unauthorized, "the API key is not known"};
  return admitted{found};
}

bool admission::knows_origin(std::string_view origin) const {
  return origin == own_origin_ || std::find(options_.allowed_origins.begin(), options_.allowed_origins.end(), origin) !=
                                      options_.allowed_origins.end();
}

// A name of somebody else's can be made to resolve to us (DNS rebinding); an address and localhost cannot.
bool admission::is_same_host(std::string_view origin, std::string_view host, bool secure) const {
  const auto name = host.starts_with('[') ? host.substr(0, host.find(']') + 1) : host.substr(0, host.find(':'));
  const bool is_address = name.starts_with('[') || name.find_first_not_of("0123456789.") == name.npos;
  const std::string_view scheme = secure ? "https://" : "http://";
  return !name.empty() && (is_address || name == "localhost") && origin.starts_with(scheme) &&
         iequals(origin.substr(scheme.size()), host);
}

result<void> admission::count(const std::string& user, std::chrono::steady_clock::time_point now) {
  if (options_.sign_rate == 0) return {};
  const auto rate = static_cast<double>(options_.sign_rate),
             max = static_cast<double>(std::max(options_.sign_burst, options_.sign_rate));
  const auto filled = [&](const bucket& b) {
    return std::min(max, b.tokens + rate * std::chrono::duration<double>(now - b.at).count());
  };
  std::lock_guard lock(mutex_);
  if (buckets_.size() >= max_buckets) std::erase_if(buckets_, [&](const auto& b) { return filled(b.second) >= max; });
  if (buckets_.size() >= max_buckets) buckets_.clear();
  auto& mine = buckets_.try_emplace(user, bucket{max, now}).first->second;
  mine = {filled(mine), now};
  if (mine.tokens < 1)
    return failure{errc::too_many_requests, "at most " + std::to_string(options_.sign_rate) + " a second"};
  mine.tokens -= 1;
  return {};
}

} // namespace postern::front
