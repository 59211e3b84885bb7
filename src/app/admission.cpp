#include <postern/app/admission.hpp>
#include <postern/app/config/jwt_keys.hpp>
#include <postern/flow/admission/api_keys.hpp>
#include <postern/flow/admission/jwt_callers.hpp>

#include <utility>

namespace postern::app {
namespace {

seconds_clock seconds_now() { return std::chrono::floor<std::chrono::seconds>(now_millis()); }

caller_rights rights_of(const config::api_key& key) {
  caller_rights all;
  for (const auto right : key.rights) all = all | right;
  return all;
}

http_client_options client_options_of(const config::jwt_section& s) {
  http_client_options o;
  o.ca_file = s.ca_file;
  return o;
}

token_keys_ptr keys_of(const config::jwt_section& s, http_client& http) {
  if (s.keys.url.empty()) return make_fixed_keys(read_token_keys(s));
  jwks_options o;
  o.url = token_keys_url(s);
  return make_jwks(http, std::move(o));
}

jwt_link_options link_options_of(const config::jwt_section& s) {
  jwt_link_options o;
  o.rules = {s.issuer, s.audience, s.algorithms, s.leeway};
  o.profiles_claim = s.profiles_claim;
  o.max_size_claim = s.max_size_claim;
  o.clock = seconds_now;
  return o;
}

} // namespace

admission::key_source::key_source(const config::jwt_section& s)
    : settings(s), http(client_options_of(s)), keys(keys_of(s, http)) {}

admission::admission(const config& c) : admitter_(links_of(c)) {}

void admission::reload(const config& next) { admitter_.replace(links_of(next)); }

task<> admission::keep_fresh() {
  if (!sources_.empty()) co_await sources_.back().keys->keep_fresh();
}

std::vector<admission_link_ptr> admission::links_of(const config& c) {
  std::vector<admission_link_ptr> links;
  std::vector<api_key> keys;
  for (const auto& k : c.auth.api_keys) keys.push_back({k.name, k.sha256, k.profiles, rights_of(k), k.expires});
  links.push_back(make_api_key_link(std::move(keys), seconds_now));
  if (!c.jwt.keys.empty()) {
    const bool is_same = !sources_.empty() && sources_.back().settings.keys == c.jwt.keys &&
                         sources_.back().settings.ca_file == c.jwt.ca_file;
    if (!is_same) sources_.emplace_back(c.jwt); // keys that were fetched already stay in use
    links.push_back(make_jwt_link(*sources_.back().keys, link_options_of(c.jwt)));
  }
  if (c.auth.anonymous) links.push_back(make_anonymous_link());
  return links;
}

} // namespace postern::app
