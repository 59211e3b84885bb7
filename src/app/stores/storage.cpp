#include <postern/app/config/units.hpp>
#include <postern/app/stores/storage.hpp>
#include <postern/app/webhooks/webhooks.hpp>
#include <postern/base/log.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/s3/aws_names.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/flow/completion/probe.hpp>
#include <postern/io/files/file_store.hpp>
#include <postern/io/s3/s3_store.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace postern::app {
namespace {

// The file store needs no keys, but its forms have the same fields as S3's. These keys are derived from the server's
// secret and sign nothing else.
sigv4::credentials file_store_keys(const signer& own) {
  auto name = own.derive("file store access key").reveal().substr(0, 13);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char l) { return l >= 'a' ? static_cast<char>(l - 32) : l; });
  return {"POSTERN" + name, own.derive("file store secret key"), {}};
}

// With role_arn: the role's credentials. The other credentials assume the role.
credential_source_ptr source_of(const config& c, const signer& own, http_client& http, store_clock& clock) {
  auto base = own_source_of(c, own, http);
  if (c.store.role_arn.empty() || c.store.type == "file") return base;
  return make_assumed_role(std::move(base), http, sts_of(c), role_of(c), clock);
}

// A policy must not outlive the credentials that sign it, so they are renewed while more than the longest policy's
// lifetime is left.
std::chrono::seconds min_lifetime_of(const config& c) {
  std::chrono::seconds longest{0};
  for (const auto& [name, p] : c.profiles) longest = std::max(longest, p.expires);
  return longest + std::chrono::seconds(60);
}

std::unique_ptr<s3_client> client_of(const config& c, http_client& http, credential_cache& credentials,
                                     store_clock& clock) {
  if (c.store.type != "s3") return nullptr;
  return std::make_unique<s3_client>(s3_options_of(c), http, credentials, clock);
}

} // namespace

// Stores with an endpoint of their own serve STS at the same endpoint (Ceph RGW, MinIO). The endpoints of Amazon S3,
// such as s3.dualstack.eu-west-1.amazonaws.com, do not.
sts_options sts_of(const config& c) {
  const auto& s = c.store;
  if (!s.sts_endpoint.empty()) return {s.sts_endpoint, s.region};
  const auto at = parse_web_url(s.endpoint);
  if (at && !is_aws_s3_host(at->server.host)) return {s.endpoint, s.region};
  return {"https://sts." + s.region + "." + std::string(aws_partition_of(s.region).domain) + "/", s.region};
}

role_options role_of(const config& c) {
  return {c.store.role_arn, c.store.external_id, c.store.session_name, c.store.duration};
}

// In the order of the AWS SDKs.
credential_source_ptr own_source_of(const config& c, const signer& own, http_client& http) {
  const auto& s = c.store;
  if (!s.access_key.empty()) return make_static_credentials({s.access_key, s.secret_key, s.session_token.reveal()});
  if (s.type == "file") return make_static_credentials(file_store_keys(own));
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

http_client make_http_client(const std::string& setting, http_client_options options) {
  try {
    return http_client(std::move(options));
  } catch (const std::runtime_error& e) {
    throw std::runtime_error(setting + ": " + e.what());
  }
}

s3_options s3_options_of(const config& c) {
  s3_options o;
  o.name = metric_name(c.store);
  o.endpoint = c.store.endpoint;
  o.public_endpoint = c.store.public_endpoint;
  o.region = c.store.region;
  o.path_style = c.store.path_style;
  o.sends_checksums = c.store.sends_checksums;
  o.deadline = c.store.deadline;
  o.timeout = c.store.timeout.count() ? c.store.timeout : std::chrono::hours(24);
  return o;
}

storage::storage(const config& c, const signer& own)
    : http(make_http_client(c.store.setting("ca_file"), {c.store.ca_file})),
      credentials(
          source_of(c, own, http, clock), min_lifetime_of(c), [this] { return clock.now(); }, metric_name(c.store)),
      s3(client_of(c, http, credentials, clock)),
      disk(c.store.type == "file" ? std::make_unique<asio::thread_pool>(4) : nullptr) {}

std::unique_ptr<store> storage::open(const config& c, multipart_journal* journal) {
  if (s3) return make_s3_store(*s3, journal);
  try {
    return make_file_store({c.store.path}, *disk);
  } catch (const std::runtime_error& e) {
    const std::string text = e.what(), of_default = "store.path";
    throw std::runtime_error(text.starts_with(of_default) ? c.store.setting("path") + text.substr(of_default.size())
                                                          : text);
  }
}

void storage::join() {
  if (disk) disk->join();
}

ledger_options ledger_options_of(const config& c) {
  ledger_options o;
  o.url = c.ledger.url;
  o.endpoints = webhook_endpoints_of(c);
  o.grace = c.sweep.grace;
  if (c.sweep.probe) o.first_probe = prober::first_pause;
  return o;
}

std::string metric_name(const config::store_section& s) { return s.name.empty() ? "default" : s.name; }

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

void log_sizes_beyond_a_form(const config& c) {
  if (c.store.type != "s3") return;
  for (const auto& [name, p] : c.profiles) {
    if (p.max_size <= max_post_size || p.min_size > max_post_size) continue;
    if (std::find(p.ways.begin(), p.ways.end(), upload_way::multipart) != p.ways.end()) continue; // that way takes it
    const auto setting = "profiles." + name + ".max_size";
    log::warning("a profile allows larger files than S3 takes from a form",
                 {{"profile", name},
                  {"max_size", size_text(p.max_size)},
                  {"largest_form", size_text(max_post_size)},
                  {"remedy", "add multipart to profiles." + name +
                                 ".ways; or declare size in POST /v1/uploads: then the fallback "
                                 "takes a larger file; or lower " +
                                 setting}});
  }
}

} // namespace postern::app
