#include <postern/app/storage.hpp>
#include <postern/app/webhooks/webhooks.hpp>
#include <postern/io/files/file_store.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace postern::app {
namespace {

// A directory has no keys of its own, but the form is to be S3's field for field: these come from the server's secret
// and sign nothing else.
sigv4::credentials own_keys(const signer& own) {
  auto name = own.derive("file store access key").reveal().substr(0, 13);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char l) { return l >= 'a' ? static_cast<char>(l - 32) : l; });
  return {"POSTERN" + name, own.derive("file store secret key"), {}};
}

// The role on top.
credential_source_ptr source_of(const config& c, const signer& own, http_client& http) {
  auto base = own_source_of(c, own, http);
  if (c.store.role_arn.empty() || c.store.type == "file") return base;
  return make_assumed_role(std::move(base), http, sts_of(c), role_of(c), system_clock_in_seconds());
}

// Forms are good for as long as their policy says, so keys must last longer than the longest of them.
std::chrono::seconds spare_of(const config& c) {
  std::chrono::seconds longest{0};
  for (const auto& [name, p] : c.profiles) longest = std::max(longest, p.expires);
  return longest + std::chrono::seconds(60);
}

std::unique_ptr<s3_client> client_of(const config& c, http_client& http, credential_cache& credentials) {
  if (c.store.type != "s3") return nullptr;
  return std::make_unique<s3_client>(s3_options_of(c), http, credentials, system_clock_in_seconds());
}

} // namespace

// Where there is an endpoint of one's own, STS is nearly always behind it too (Ceph RGW, MinIO).
sts_options sts_of(const config& c) {
  const auto& s = c.store;
  if (!s.sts_endpoint.empty()) return {s.sts_endpoint, s.region};
  if (!s.endpoint.empty()) return {s.endpoint, s.region};
  return {"https://sts." + s.region + (s.region.starts_with("cn-") ? ".amazonaws.com.cn/" : ".amazonaws.com/"),
          s.region};
}

role_options role_of(const config& c) {
  return {c.store.role_arn, c.store.external_id, c.store.session_name, c.store.duration};
}

// In AWS's order.
credential_source_ptr own_source_of(const config& c, const signer& own, http_client& http) {
  const auto& s = c.store;
  if (!s.access_key.empty()) return make_static_credentials({s.access_key, s.secret_key, s.session_token.reveal()});
  if (s.type == "file") return make_static_credentials(own_keys(own));
  if (!s.profile.empty()) return make_shared_file_credentials(c.environment, s.profile);
  std::vector<credential_source_ptr> chain;
  chain.push_back(make_environment_credentials(c.environment));
  chain.push_back(make_shared_file_credentials(c.environment, ""));
  chain.push_back(make_web_identity_credentials(c.environment, http, sts_of(c)));
  chain.push_back(make_container_credentials(c.environment, http));
  chain.push_back(make_imds_credentials(c.environment, http));
  return make_credential_chain(std::move(chain));
}

utc_clock system_clock_in_seconds() {
  return [] { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); };
}

s3_options s3_options_of(const config& c) {
  s3_options o;
  o.endpoint = c.store.endpoint;
  o.public_endpoint = c.store.public_endpoint;
  o.region = c.store.region;
  o.path_style = c.store.path_style;
  o.timeout = c.store.timeout.count() ? c.store.timeout : std::chrono::hours(24);
  return o;
}

storage::storage(const config& c, const signer& own)
    : http(http_client_options{c.store.ca_file}),
      credentials(source_of(c, own, http), spare_of(c), system_clock_in_seconds()),
      s3(client_of(c, http, credentials)) {}

std::unique_ptr<store> storage::open(const config& c) {
  if (s3) return make_s3_store(*s3);
  return make_file_store({c.store.path}, disk);
}

result<credentials_ptr> storage::first_credentials() { return run_alone(credentials.get()); }

ledger_options ledger_options_of(const config& c, std::function<void(const upload&)> on_change) {
  ledger_options o;
  o.url = c.ledger_url;
  o.endpoints = webhook_endpoints_of(c);
  o.grace = c.sweep.grace;
  o.on_change = std::move(on_change);
  return o;
}

std::map<std::string, std::string> direct_urls(const config& c) {
  std::map<std::string, std::string> out;
  if (c.store.type != "s3") return out;
  auto seen = s3_options_of(c);
  if (!c.store.public_endpoint.empty()) seen.endpoint = c.store.public_endpoint;
  for (const auto& [name, p] : c.profiles) {
    const auto place = locate_bucket(seen, seen.region, p.bucket);
    if (!place) throw std::runtime_error(place.error().on);
    out[p.bucket] = place->at.origin() + place->path;
  }
  return out;
}

} // namespace postern::app
