#include <postern/app/config/checks.hpp>
#include <postern/app/config/settings.hpp>
#include <postern/app/config/webhook_checks.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/upload.hpp>

#include <algorithm>

namespace postern::app {
namespace {

void require(bool right, const std::string& setting, const std::string& what) {
  if (!right) throw config_error(setting + ": " + what);
}

void check_profile(config& c, profile& p) {
  const auto at = "profiles." + p.name + ".";
  if (p.bucket.empty()) p.bucket = c.store.bucket;
  const auto& others = c.store.other_buckets;
  const auto listed = [&](const char* b) { return std::find(others.begin(), others.end(), b) != others.end(); };
  require(p.bucket == c.store.bucket || listed("*") || listed(p.bucket.c_str()), at + "bucket",
          quote(p.bucket) + " is neither store.bucket nor among store.other_buckets");
  if (auto key = fill_key(p.key, {"id", "name", "user", "profile", "date"}); !key)
    throw config_error(at + "key: " + key.error().on);
  require(p.overwrite || p.key.find("${id}") != p.key.npos, at + "key",
          "must contain ${id}, so that no upload can replace another's object; overwrite = true allows it");
  require(p.min_size <= p.max_size, at + "min_size", "is larger than max_size");
  require(p.max_size <= largest_object, at + "max_size", "S3 takes objects of at most 5TiB");
  require(p.expires.count() > 0 && p.expires <= std::chrono::hours(24 * 7), at + "expires", "must be 1s to 7d");
  require(c.sweep.claim_lifetime >= p.expires, "sweep.claim_lifetime", "must not be shorter than " + at + "expires");
  // A claim that outlived its row would complete the upload a second time.
  require(c.retention.count() == 0 || c.retention >= c.sweep.claim_lifetime + p.expires + c.sweep.grace,
          "ledger.retention",
          "must not be shorter than sweep.claim_lifetime, sweep.grace and " + at + "expires together; 0 keeps all");
  for (const auto& url : p.return_to) {
    require(is_web_url(url), at + "return_to", quote(url) + " must be an absolute http or https URL");
    require(!origin_of(url).ends_with('*'), at + "return_to",
            quote(url) + " must have a / behind the host, else other hosts would match");
  }
}

void check_store(config::store_section& s) {
  require(s.type == "s3" || s.type == "file", "store.type", "must be \"s3\" or \"file\"");
  if (s.type == "file" && s.bucket.empty()) s.bucket = "local";
  require(!s.bucket.empty(), "store.bucket", "must name the bucket in S3");
  require(s.access_key.empty() == s.secret_key.empty(), "store.credentials",
          "needs both access_key and secret_key, or neither");
  require(s.session_token.empty() || !s.access_key.empty(), "store.credentials.session_token",
          "needs access_key and secret_key");
  require(s.profile.empty() || s.access_key.empty(), "store.credentials.profile",
          "is one way and access_key another; name one of them");
  for (const auto& [name, url] : {std::pair{"store.endpoint", s.endpoint},
                                  {"store.public_endpoint", s.public_endpoint},
                                  {"store.credentials.sts_endpoint", s.sts_endpoint}})
    require(url.empty() || is_web_url(url), name, quote(url) + " must be like https://s3.example.com");
  require(!s.region.empty(), "store.region", "must be like eu-west-1");
  require(s.external_id.empty() || !s.role_arn.empty(), "store.credentials.external_id",
          "is for a role: name role_arn too");
  require(s.role_arn.empty() || s.role_arn.starts_with("arn:"), "store.credentials.role_arn",
          "must be like arn:aws:iam::123456789012:role/uploader");
  require(s.duration.count() > 0 && s.duration <= std::chrono::hours(12), "store.credentials.duration",
          "must be at most 12h");
}

void check_events(const config::events_section& e) {
  require(e.token.empty() || e.token.reveal().size() >= 16, "events.token",
          "must have at least 16 bytes: openssl rand -hex 32");
  for (const auto& arn : e.sns_topics)
    require(arn.starts_with("arn:") && arn.find(":sns:") != arn.npos && arn.find('*') == arn.npos, "events.sns_topics",
            quote(arn) + " must be like arn:aws:sns:eu-west-1:123456789012:uploads");
  const auto to = parse_web_url("http://" + e.sns_connect_to);
  require(e.sns_connect_to.empty() ||
              (to && lower(e.sns_connect_to) == to->server.host + ":" + std::to_string(to->server.port)),
          "events.sns_connect_to", quote(e.sns_connect_to) + " must be like 127.0.0.1:8443");
}

} // namespace

void complete_and_check(config& c) {
  auto& s = c.server;
  while (s.public_url.ends_with('/')) s.public_url.pop_back();
  require(is_web_url(s.public_url) && s.public_url.find_first_of("?#") == s.public_url.npos, "server.public_url",
          "must be like https://uploads.example.com");
  require(!s.listen.empty(), "server.listen", "must name an address such as 127.0.0.1:8080");
  for (const auto& o : s.allowed_origins)
    require(is_origin(o), "server.allowed_origins",
            quote(o) + " must be an exact origin like https://app.example.com, in small letters, without a path");
  require(s.tls_certificate.empty() == s.tls_key.empty(), "server.tls", "needs both certificate and key, or neither");
  if (s.secrets.empty()) s.secrets.push_back(secret_from_file("var/secret", true));
  for (const auto& one : s.secrets)
    require(one.reveal().size() >= 16, "server.secrets", "a secret must have at least 16 bytes: openssl rand -hex 32");
  check_store(c.store);
  check_events(c.events);
  require(c.sweep.interval >= std::chrono::milliseconds(100), "sweep.interval", "must be 100ms at least");
  c.profiles["default"].name = "default";
  for (auto& [name, p] : c.profiles) check_profile(c, p);
  check_webhooks(c);
}

} // namespace postern::app
