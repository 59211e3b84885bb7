#include <postern/app/admission.hpp>
#include <postern/app/config/jwt_keys.hpp>
#include <postern/app/stores/storage.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/flow/admission/api_keys.hpp>
#include <postern/flow/admission/forward_callers.hpp>
#include <postern/flow/admission/jwt_callers.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

namespace postern::app {
namespace {

caller_rights rights_of(const config::api_key& key) {
  caller_rights all;
  for (const auto right : key.rights) all = all | right;
  return all;
}

token_keys_ptr keys_of(const config::jwt_section& s, http_client* http) {
  if (!http) return make_fixed_keys(read_token_keys(s));
  jwks_options o;
  o.url = token_keys_url(s);
  return make_jwks(*http, std::move(o));
}

std::string content_of(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> names_of_keys(const config& c) {
  std::vector<std::string> names;
  for (const auto& key : c.auth.api_keys) names.push_back(key.name);
  return names;
}

jwt_link_options jwt_options_of(const config& c) {
  const auto& s = c.jwt;
  jwt_link_options o;
  o.other_users = names_of_keys(c);
  o.rules = {s.issuer, s.audience, s.algorithms, s.leeway};
  o.profiles_claim = s.profiles_claim;
  o.max_size_claim = s.max_size_claim;
  o.quota_claim = s.quota_claim;
  o.clock = system_clock_in_seconds();
  return o;
}

// Only their differences mean something. They go on steadily when the system's clock is set.
seconds_clock seconds_that_pass() {
  return seconds_clock(std::chrono::floor<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()));
}

forward_link_options forward_options_of(const config& c) {
  const auto& s = c.forward;
  const auto sends = [&s](std::string_view what) {
    return std::find(s.send.begin(), s.send.end(), what) != s.send.end();
  };
  const auto origin = origin_of(c.server.public_url);
  const auto colon = origin.find("://");
  forward_link_options o;
  o.sends_cookie = sends("cookie");
  o.sends_authorization = sends("authorization");
  o.user_header = lower(s.user_header);
  o.profiles_header = lower(s.profiles_header);
  o.limits_header = lower(s.limits_header);
  o.scheme = origin.substr(0, colon);
  o.host = origin.substr(colon + 3);
  o.cache = s.cache;
  o.other_users = names_of_keys(c);
  o.clock = seconds_that_pass;
  return o;
}

} // namespace

admission::admission(const config& c) : admitter_(links_of(c)) {}

void admission::reload(const config& next) { admitter_.replace(links_of(next)); }

task<> admission::keep_fresh() {
  if (in_use_) co_await in_use_->keys->keep_fresh();
}

http_client& admission::client_for(const std::string& setting, const std::string& ca_file) {
  auto& client = clients_[ca_file.empty() ? "the system's authorities" : content_of(ca_file)];
  if (!client) client.reset(new http_client(make_http_client(setting, {ca_file})));
  return *client;
}

// Keys that were fetched already are not fetched again.
admission::key_source& admission::source_for(const config::jwt_section& s) {
  auto* http = s.keys.url.empty() ? nullptr : &client_for("auth.jwt.ca_file", s.ca_file);
  for (auto& one : sources_)
    if (one.from == s.keys && one.http == http) return one;
  return sources_.emplace_back(key_source{s.keys, http, keys_of(s, http)});
}

forward_auth& admission::application_for(const config::forward_section& s) {
  auto& http = client_for("auth.forward.ca_file", s.ca_file);
  for (auto& one : applications_)
    if (one.from.url == s.url && one.from.timeout == s.timeout && one.http == &http) return one.asked;
  const auto url = parse_web_url(s.url).value(); // was checked with the configuration
  return applications_.emplace_back(s, http, url).asked;
}

std::vector<admission_link_ptr> admission::links_of(const config& c) {
  std::vector<admission_link_ptr> links;
  std::vector<api_key> keys;
  for (const auto& k : c.auth.api_keys) keys.push_back({k.name, k.sha256, k.profiles, rights_of(k), k.expires});
  links.push_back(make_api_key_link(std::move(keys), system_clock_in_seconds()));
  in_use_ = c.jwt.keys.empty() ? nullptr : &source_for(c.jwt);
  if (in_use_) links.push_back(make_jwt_link(*in_use_->keys, jwt_options_of(c)));
  if (!c.forward.url.empty()) links.push_back(make_forward_link(application_for(c.forward), forward_options_of(c)));
  if (c.auth.anonymous) links.push_back(make_anonymous_link());
  return links;
}

} // namespace postern::app
