#include <postern/app/config/jwt_keys.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>

namespace postern::app {
namespace {

// A text that is neither could be a secret that its owner did not mark, or the name of a file, a URL, a damaged file.
// Taken as a secret, public text would let anybody sign in.
constexpr const char* no_public_key =
    "this is neither a PEM (-----BEGIN PUBLIC KEY-----) nor a JWK Set ({\"keys\":[…]}). A secret for HS256 is written "
    "{ secret = \"…\" }, a file { file = \"path\" }, and a URL stands alone: keys = \"https://…\"";

result<std::vector<token_key>> read_public(const std::string& text) {
  if (text.find("-----BEGIN") != text.npos) {
    auto key = verifying_key::from_pem(text);
    if (!key) return key.error();
    return std::vector<token_key>{{"", std::move(*key)}};
  }
  if (!trim(text, " \t\r\n").starts_with('{')) return failure{errc::invalid_argument, no_public_key};
  auto set = read_key_set(text, shared_secrets::allowed);
  if (!set) return set.error();
  if (!set->left_out.empty()) return failure{errc::invalid_argument, set->left_out.front()};
  if (set->keys.empty()) return failure{errc::invalid_argument, "the key set is empty"};
  return std::move(set->keys);
}

} // namespace

std::vector<token_key> read_token_keys(const config::jwt_section& jwt) {
  std::vector<token_key> keys;
  for (std::size_t n = 0; n < jwt.keys.public_keys.size(); ++n) {
    auto read = read_public(jwt.keys.public_keys[n].reveal());
    if (!read) throw config_error("auth.jwt.keys, public key " + std::to_string(n + 1) + ": " + read.error().on);
    for (auto& key : *read) keys.push_back(std::move(key));
  }
  for (std::size_t n = 0; n < jwt.keys.shared_secrets.size(); ++n) {
    auto key = verifying_key::from_secret(jwt.keys.shared_secrets[n]);
    if (!key) throw config_error("auth.jwt.keys, secret " + std::to_string(n + 1) + ": " + key.error().on);
    keys.push_back({"", std::move(*key)});
  }
  return keys;
}

web_url token_keys_url(const config::jwt_section& jwt) {
  auto url = parse_web_url(jwt.keys.url);
  if (!url) throw config_error("auth.jwt.keys: " + url.error().on);
  if (!url->server.tls && !url->server.is_loopback())
    throw config_error("auth.jwt.keys: " + quote(jwt.keys.url) +
                       " must be https: an attacker who changes the keys on their way can sign in as anybody");
  return *url;
}

} // namespace postern::app
