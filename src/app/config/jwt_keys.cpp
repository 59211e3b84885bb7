#include <postern/app/config/jwt_keys.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>

namespace postern::app {
namespace {

bool is_this_machine(const http_address& a) {
  const auto host = a.bare_host();
  return host == "localhost" || (a.is_ip() && (host == "::1" || host.starts_with("127.")));
}

result<std::vector<token_key>> read_text(const secret& text) {
  const auto begin = text.reveal().find_first_not_of(" \t\r\n");
  if (begin != std::string::npos && text.reveal()[begin] == '{') {
    auto set = read_key_set(text.reveal(), shared_secrets::allowed);
    if (!set) return set.error();
    if (!set->left_out.empty()) return failure{errc::invalid_argument, set->left_out.front()};
    return std::move(set->keys);
  }
  const bool is_pem = text.reveal().find("-----BEGIN") != std::string::npos;
  auto key = is_pem ? verifying_key::from_pem(text.reveal()) : verifying_key::from_secret(text);
  if (!key) return key.error();
  return std::vector<token_key>{{"", std::move(*key)}};
}

} // namespace

std::vector<token_key> read_token_keys(const config::jwt_section& jwt) {
  std::vector<token_key> keys;
  for (std::size_t n = 0; n < jwt.keys.texts.size(); ++n) {
    auto read = read_text(jwt.keys.texts[n]);
    if (!read) throw config_error("auth.jwt.keys, number " + std::to_string(n + 1) + ": " + read.error().on);
    for (auto& key : *read) keys.push_back(std::move(key));
  }
  return keys;
}

web_url token_keys_url(const config::jwt_section& jwt) {
  auto url = parse_web_url(jwt.keys.url);
  if (!url) throw config_error("auth.jwt.keys: " + url.error().on);
  if (!url->server.tls && !is_this_machine(url->server))
    throw config_error("auth.jwt.keys: " + quote(jwt.keys.url) +
                       " must be https: whoever can change the keys on their way can sign in as anybody");
  return *url;
}

} // namespace postern::app
