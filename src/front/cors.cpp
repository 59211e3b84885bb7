#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/cors.hpp>

#include <algorithm>

namespace postern::front {
namespace {

// As tusd has them, and those of the IETF draft.
constexpr const char* sent_by_resumable_clients =
    ", Origin, X-Request-ID, X-HTTP-Method-Override, Content-Disposition, Upload-Length, Upload-Offset, Tus-Resumable, "
    "Upload-Metadata, Upload-Defer-Length, Upload-Concat, Upload-Checksum, Upload-Incomplete, Upload-Complete, "
    "Upload-Draft-Interop-Version";
constexpr const char* exposed_to_resumable_clients =
    ", Postern-Id, Upload-Offset, Upload-Length, Upload-Metadata, Upload-Defer-Length, Upload-Expires, Upload-Concat, "
    "Upload-Complete, Upload-Limit, Upload-Draft-Interop-Version, Tus-Resumable, Tus-Version, Tus-Max-Size, "
    "Tus-Extension, Tus-Checksum-Algorithm";

} // namespace

cors_rules::cors_rules(std::string_view public_url, std::vector<std::string> allowed)
    : public_origin_(origin_of(public_url)), allowed_(std::move(allowed)) {}

bool cors_rules::contains(std::string_view origin) const {
  return origin == public_origin_ || std::find(allowed_.begin(), allowed_.end(), origin) != allowed_.end();
}

result<void> cors_rules::check(const request& r) const {
  const auto origin = r.field(http::field::origin);
  if (origin.empty() || contains(origin) || is_same_host(origin, r.field(http::field::host), r.is_secure)) return {};
  return failure{errc::forbidden, "origin " + quote(origin) + " is not in server.allowed_origins"};
}

bool cors_rules::may_use_cookies(const request& r, bool to_read) const {
  const auto origins = r.fields.count(http::field::origin);
  if (origins > 1 || r.fields.count("Sec-Fetch-Site") > 1) return false; // no browser sends such a request
  if (origins) return !r.field(http::field::origin).empty() && check(r);
  const bool is_get = r.method == http::verb::get || r.method == http::verb::head;
  const auto site = r.field("Sec-Fetch-Site");
  return is_get && (site == "same-origin" || (to_read && site == "same-site"));
}

void cors_rules::add_headers(cors_readers who, const request& r, response& made) const {
  if (who == cors_readers::any_origin) made.with("Access-Control-Allow-Origin", "*");
  if (who != cors_readers::allowed_origins && who != cors_readers::resumable_clients) return;
  const auto origin = r.field(http::field::origin);
  made.with("Vary", "Origin");
  if (origin.empty() || !contains(origin)) return;
  made.with("Access-Control-Allow-Origin", std::string(origin))
      .with("Access-Control-Allow-Credentials", "true")
      .with("Access-Control-Expose-Headers",
            std::string("Content-Disposition, Content-Range, ETag, Location, Retry-After, X-Request-Id") +
                (who == cors_readers::resumable_clients ? exposed_to_resumable_clients : ""));
}

void cors_rules::allow_requests(cors_readers who, const std::string& verbs, response& made) {
  made.with("Access-Control-Allow-Methods", verbs)
      // The last two are sent by clients such as Dropzone, whether they are of use or not.
      .with("Access-Control-Allow-Headers",
            std::string("Authorization, Content-Type, Accept, Cache-Control, X-Requested-With") +
                (who == cors_readers::resumable_clients ? sent_by_resumable_clients : ""))
      .with("Access-Control-Max-Age", "600");
}

response cors_rules::preflight(const request& r, cors_readers who, const std::string& verbs) const {
  response made;
  made.status = 204;
  add_headers(who == cors_readers::own_pages ? cors_readers::allowed_origins : who, r, made);
  allow_requests(who, verbs, made);
  return made;
}

response readable_refusal(response made) {
  made.with("Access-Control-Allow-Origin", "*").with("Access-Control-Expose-Headers", "Retry-After, X-Request-Id");
  return made;
}

std::string_view host_name(std::string_view host) {
  return host.starts_with('[') ? host.substr(0, host.find(']') + 1) : host.substr(0, host.find(':'));
}

bool is_address(std::string_view name) {
  return name.starts_with('[') || name.find_first_not_of("0123456789.") == name.npos;
}

bool is_same_host(std::string_view origin, std::string_view host, bool is_secure) {
  const auto name = host_name(host);
  const std::string_view scheme = is_secure ? "https://" : "http://";
  return !name.empty() && (is_address(name) || name == "localhost") && origin.starts_with(scheme) &&
         iequals(origin.substr(scheme.size()), host);
}

} // namespace postern::front
