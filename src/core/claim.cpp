#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/core/claim.hpp>

#include <charconv>
#include <stdexcept>

namespace postern {
namespace {

constexpr std::int64_t version = 1;

std::string_view as_text(const sha256_bytes& b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

std::string derived(const secret& from, std::string_view use) {
  return std::string(as_text(hmac_sha256(from.reveal(), use)));
}

} // namespace

std::string claim_payload(const claim& c) {
  json_writer w;
  w.reserve(512);
  w.begin_object();
  w.member("v", static_cast<std::uint64_t>(version));
  w.member("i", c.id);
  w.member("b", c.bucket);
  w.member("k", c.key);
  w.member("n", c.length.min);
  w.member("x", c.length.max);
  w.member("e", static_cast<std::uint64_t>(c.expires.time_since_epoch().count()));
  const auto optional = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) w.member(name, value);
  };
  optional("p", c.profile);
  optional("u", c.user);
  optional("r", c.return_to);
  optional("o", c.origin);
  optional("t", c.content_type);
  w.end_object();
  return w.take();
}

// The text was signed here, so a missing member means that another version of the program signed it.
result<claim> read_claim_payload(std::string_view text) {
  failure unreadable{errc::forbidden, "the claim cannot be read"};
  auto document = read_json(text);
  if (!document) return unreadable;
  const auto number = [&](std::string_view name) -> std::int64_t {
    const auto* v = document->find(name);
    const auto* n = v ? v->if_int() : nullptr;
    return n ? *n : -1;
  };
  const auto string = [&](std::string_view name) -> std::string {
    const auto* v = document->find(name);
    const auto* s = v ? v->if_string() : nullptr;
    return s ? *s : std::string{};
  };
  const auto min = number("n"), max = number("x"), expires = number("e");
  if (number("v") != version || min < 0 || max < min || expires < 0) return unreadable;
  claim c{string("i"), string("p"), string("u"),
          string("b"), string("k"), {static_cast<std::uint64_t>(min), static_cast<std::uint64_t>(max)},
          string("r"), string("o"), seconds_clock{std::chrono::seconds{expires}},
          string("t")};
  if (c.id.empty() || c.bucket.empty() || c.key.empty()) return unreadable;
  return c;
}

signer::signer(const std::vector<secret>& secrets) {
  if (secrets.empty()) throw std::invalid_argument("a signer needs a secret");
  for (const auto& s : secrets) {
    if (s.reveal().size() < 16) throw std::invalid_argument("a secret must have at least 16 bytes");
    const auto mark = derived(s, "postern fingerprint 1").substr(0, 4);
    keys_.push_back({hmac_key(derived(s, "postern claim 1")), hmac_key(derived(s, "postern policy 1")),
                     hmac_key(derived(s, "postern upload 1")),
                     to_hex({reinterpret_cast<const unsigned char*>(mark.data()), mark.size()})});
  }
  first_ = secrets.front();
}

std::string signer::sign_claim(const claim& c) const {
  auto token = to_base64url(claim_payload(c));
  const auto mac = keys_.front().claims.sign(token);
  return token.append(".").append(to_base64url(as_text(mac)));
}

result<claim> signer::read_claim(std::string_view token, seconds_clock now) const {
  failure forged{errc::forbidden, "the claim's signature is wrong"};
  const auto dot = token.find('.');
  if (token.size() > max_token || dot == token.npos) return forged;
  auto mac = from_base64url(token.substr(dot + 1));
  if (!mac) return forged;
  const auto signed_part = token.substr(0, dot);
  bool ours = false;
  for (const auto& k : keys_) ours = equal_constant_time(as_text(k.claims.sign(signed_part)), *mac) || ours;
  if (!ours) return forged;
  auto payload = from_base64url(signed_part);
  if (!payload) return forged;
  auto c = read_claim_payload(*payload);
  if (c && now >= c->expires) return failure{errc::forbidden, "the claim has expired"};
  return c;
}

// id "." expiry in seconds since 1970 "." HMAC-SHA256 of both
std::string signer::sign_upload_token(std::string_view id, seconds_clock expires) const {
  auto token = std::string(id).append(".").append(std::to_string(expires.time_since_epoch().count()));
  const auto mac = keys_.front().uploads.sign(token);
  return token.append(".").append(to_base64url(as_text(mac)));
}

result<std::string> signer::read_upload_token(std::string_view token, seconds_clock now) const {
  failure forged{errc::unauthorized, "the upload token is wrong"};
  const auto end = token.rfind('.'), middle = token.find('.');
  if (token.size() > max_token || end == token.npos || middle == end) return forged;
  const auto mac = from_base64url(token.substr(end + 1));
  if (!mac) return forged;
  bool ours = false;
  for (const auto& k : keys_) ours = equal_constant_time(as_text(k.uploads.sign(token.substr(0, end))), *mac) || ours;
  if (!ours) return forged;
  std::int64_t seconds = 0;
  const auto number = token.substr(middle + 1, end - middle - 1);
  std::from_chars(number.data(), number.data() + number.size(), seconds);
  if (now >= seconds_clock{std::chrono::seconds{seconds}})
    return failure{errc::unauthorized, "the upload token has expired; ask for a new upload"};
  return std::string(token.substr(0, middle));
}

std::string signer::sign_policy(std::string_view policy_base64) const {
  return keys_.front().policies.sign_hex(policy_base64);
}

bool signer::verify_policy(std::string_view policy_base64, std::string_view signature) const {
  bool ours = false;
  for (const auto& k : keys_) ours = equal_constant_time(k.policies.sign_hex(policy_base64), signature) || ours;
  return ours;
}

std::vector<std::string> signer::fingerprints() const {
  std::vector<std::string> all;
  for (const auto& k : keys_) all.push_back(k.fingerprint);
  return all;
}

secret signer::derive(std::string_view use) const {
  const auto bytes = derived(first_, std::string("postern ") + std::string(use));
  return secret(to_hex({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()}));
}

} // namespace postern
