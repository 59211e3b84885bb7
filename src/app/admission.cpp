#include <postern/app/admission.hpp>
#include <postern/app/config/jwt_keys.hpp>
#include <postern/app/storage.hpp>
#include <postern/flow/admission/api_keys.hpp>
#include <postern/flow/admission/jwt_callers.hpp>

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

jwt_link_options link_options_of(const config& c) {
  const auto& s = c.jwt;
  jwt_link_options o;
  for (const auto& key : c.auth.api_keys) o.other_users.push_back(key.name);
  o.rules = {s.issuer, s.audience, s.algorithms, s.leeway};
  o.profiles_claim = s.profiles_claim;
  o.max_size_claim = s.max_size_claim;
  o.clock = system_clock_in_seconds();
  return o;
}

} // namespace

admission::admission(const config& c) : admitter_(links_of(c)) {}

void admission::reload(const config& next) { admitter_.replace(links_of(next)); }

task<> admission::keep_fresh() {
  if (in_use_) co_await in_use_->keys->keep_fresh();
}

http_client& admission::client_for(const std::string& ca_file) {
  auto& client = clients_[ca_file.empty() ? "the system's authorities" : content_of(ca_file)];
  if (!client) client.reset(new http_client(make_http_client("auth.jwt.ca_file", {ca_file})));
  return *client;
}

// Keys that were fetched already are not fetched again.
admission::key_source& admission::source_for(const config::jwt_section& s) {
  auto* http = s.keys.url.empty() ? nullptr : &client_for(s.ca_file);
  for (auto& one : sources_)
    if (one.from == s.keys && one.http == http) return one;
  return sources_.emplace_back(key_source{s.keys, http, keys_of(s, http)});
}

std::vector<admission_link_ptr> admission::links_of(const config& c) {
  std::vector<admission_link_ptr> links;
  std::vector<api_key> keys;
  for (const auto& k : c.auth.api_keys) keys.push_back({k.name, k.sha256, k.profiles, rights_of(k), k.expires});
  links.push_back(make_api_key_link(std::move(keys), system_clock_in_seconds()));
  in_use_ = c.jwt.keys.empty() ? nullptr : &source_for(c.jwt);
  if (in_use_) links.push_back(make_jwt_link(*in_use_->keys, link_options_of(c)));
  if (c.auth.anonymous) links.push_back(make_anonymous_link());
  return links;
}

} // namespace postern::app
