#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/jwt.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace postern {
namespace {

constexpr std::size_t max_kid = 256;

failure refused(std::string what) { return {errc::unauthorized, std::move(what)}; }

template <class List> bool contains(const List& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Does an object anywhere in the value have two members of one name? Parsers disagree on which of them counts.
bool has_repeated_name(const json_value& v) {
  if (const auto* items = v.if_array()) return std::any_of(items->begin(), items->end(), has_repeated_name);
  const auto* members = v.if_object();
  if (!members) return false;
  std::vector<std::string_view> names;
  for (const auto& [name, value] : *members) {
    if (has_repeated_name(value)) return true;
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) != names.end();
}

bool is_kid(std::string_view text) {
  return !text.empty() && text.size() <= max_kid &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

} // namespace

// --- key sets ---------------------------------------------------------------------------------------

namespace {

failure bad_set(std::string what) { return {errc::invalid_argument, std::move(what)}; }

// Is the JWK for something else than verifying signatures? Providers publish keys for encryption in the same set.
bool has_other_purpose(const json_value& jwk) {
  if (const auto* use = jwk.find("use"); use && (!use->if_string() || *use->if_string() != "sig")) return true;
  const auto* all = jwk.find("key_ops");
  if (!all) return false;
  const auto* list = all->if_array();
  const auto is_verify = [](const json_value& v) { return v.if_string() && *v.if_string() == "verify"; };
  return !list || std::none_of(list->begin(), list->end(), is_verify);
}

result<token_key> read_key(const json_value& jwk, shared_secrets secrets) {
  if (!jwk.if_object()) return bad_set("it is no object");
  if (has_repeated_name(jwk)) return bad_set("it has a member twice");
  std::string kid;
  if (const auto* given = jwk.find("kid")) {
    if (!given->if_string() || !is_kid(*given->if_string()))
      return bad_set("its kid is not a text of 1 to " + std::to_string(max_kid) + " printable ASCII characters");
    kid = *given->if_string();
  }
  const auto* type = jwk.find("kty");
  if (secrets == shared_secrets::refused && type && type->if_string() && *type->if_string() == "oct")
    return bad_set("it is a shared secret (kty oct), which only a key set in a file may have");
  auto key = verifying_key::from_jwk(jwk);
  if (!key) return key.error();
  const auto* alg = jwk.find("alg");
  if (alg && (!alg->if_string() || *alg->if_string() != key->name()))
    return bad_set("its alg must be " + std::string(key->name()) + " for a key of this kind");
  return token_key{std::move(kid), *std::move(key)};
}

// The first reasons, and how many more there are.
std::string summary(const std::vector<std::string>& reasons) {
  constexpr std::size_t shown = 5;
  std::string out;
  for (std::size_t i = 0; i < reasons.size() && i < shown; ++i) out.append(i ? "; " : ": ").append(reasons[i]);
  if (reasons.size() > shown) out += "; and " + std::to_string(reasons.size() - shown) + " more";
  return out;
}

} // namespace

result<key_set> read_key_set(std::string_view json, shared_secrets secrets) {
  if (json.size() > max_key_set)
    return bad_set("the key set has " + std::to_string(json.size()) + " bytes; the maximum is " +
                   std::to_string(max_key_set));
  const auto document = read_json(json);
  if (!document) return bad_set("the key set cannot be read: " + document.error().on);
  const auto is_keys = [](const json_value::member& m) { return m.first == "keys"; };
  const auto* members = document->if_object();
  const auto* list = document->find("keys");
  if (!list || !list->if_array() || std::count_if(members->begin(), members->end(), is_keys) != 1)
    return bad_set("the key set must be a JSON object with one member \"keys\" that is a list (RFC 7517)");
  const auto& all = *list->if_array();
  if (all.size() > max_token_keys)
    return bad_set("the key set has " + std::to_string(all.size()) + " keys; the maximum is " +
                   std::to_string(max_token_keys));
  key_set out;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (has_other_purpose(all[i])) continue;
    auto key = read_key(all[i], secrets);
    const auto is_same = [&](const token_key& k) {
      return !k.kid.empty() && k.kid == key->kid && k.key.kind() == key->key.kind();
    };
    if (key && std::any_of(out.keys.begin(), out.keys.end(), is_same))
      key = bad_set("an earlier key has the same kid and alg");
    if (key)
      out.keys.push_back(*std::move(key));
    else
      out.left_out.push_back("key " + std::to_string(i + 1) + " is left out: " + key.error().on);
  }
  if (out.keys.empty() && !all.empty()) return bad_set("the key set has no usable key" + summary(out.left_out));
  return out;
}

// --- reading ----------------------------------------------------------------------------------------

class token_reader {
public:
  static result<unverified_token> read(std::string_view compact);

private:
  static result<void> read_header(unverified_token& token, const json_value& header);
};

namespace {

struct refused_member {
  std::string_view name, why;
};
constexpr std::array<refused_member, 8> refused_members{{
    {"crit", "requires an extension"},
    {"b64", "changes how the payload is encoded"},
    {"zip", "says that the payload is compressed"},
    {"enc", "says that the token is encrypted"},
    {"jku", "names a key of the sender's choice"},
    {"jwk", "brings a key of the sender's choice"},
    {"x5u", "names a key of the sender's choice"},
    {"x5c", "brings a key of the sender's choice"},
}};

struct token_parts {
  std::string_view header, payload, signature;
};

result<token_parts> split(std::string_view compact) {
  const auto dots = std::count(compact.begin(), compact.end(), '.');
  if (dots == 4) return refused("the token is encrypted (it has five parts); a signed token is needed");
  if (dots != 2) return refused("the token does not have three parts separated by dots");
  const auto first = compact.find('.'), second = compact.find('.', first + 1);
  return token_parts{compact.substr(0, first), compact.substr(first + 1, second - first - 1),
                     compact.substr(second + 1)};
}

result<std::string> decode(std::string_view part, const std::string& what) {
  if (part.empty()) return refused(what + " is empty");
  auto bytes = from_base64url(part);
  if (!bytes) return refused(what + " is not base64url without padding: " + bytes.error().on);
  return bytes;
}

result<json_value> decode_object(std::string_view part, const std::string& what) {
  const auto text = decode(part, what);
  if (!text) return text.error();
  auto value = read_json(*text);
  if (!value) return refused(what + " is not JSON: " + value.error().on);
  if (!value->if_object()) return refused(what + " is not a JSON object");
  if (has_repeated_name(*value)) return refused(what + " has a member twice");
  return value;
}

bool is_token_type(std::string_view typ) {
  constexpr std::string_view prefix = "application/"; // RFC 7515 §4.1.9
  if (iequals(typ.substr(0, prefix.size()), prefix)) typ.remove_prefix(prefix.size());
  return iequals(typ, "JWT") || iequals(typ, "at+jwt");
}

} // namespace

result<void> token_reader::read_header(unverified_token& token, const json_value& header) {
  for (const auto& [name, why] : refused_members)
    if (header.find(name))
      return refused("the token's header has the member " + std::string(name) + ", which " + std::string(why));
  const auto* alg = header.find("alg");
  if (!alg || !alg->if_string()) return refused("the token's header has no alg");
  if (iequals(*alg->if_string(), "none")) return refused("the token is not signed (its alg is none)");
  if (!contains(verifying_key::names, *alg->if_string()))
    return refused("the token's alg is not one of HS256, RS256, ES256 and EdDSA");
  token.alg_ = *alg->if_string();
  if (const auto* typ = header.find("typ"); typ && (!typ->if_string() || !is_token_type(*typ->if_string())))
    return refused("the token's typ is neither JWT nor at+jwt");
  if (const auto* kid = header.find("kid")) {
    if (!kid->if_string() || !is_kid(*kid->if_string()))
      return refused("the token's kid is not a text of 1 to " + std::to_string(max_kid) +
                     " printable ASCII characters");
    token.kid_ = *kid->if_string();
  }
  return {};
}

result<unverified_token> token_reader::read(std::string_view compact) {
  if (compact.size() > max_jwt)
    return refused("the token has " + std::to_string(compact.size()) + " bytes; the maximum is " +
                   std::to_string(max_jwt));
  const auto parts = split(compact);
  if (!parts) return parts.error();
  // The header comes first, so that an unsigned token is named as such and not as one with an empty signature.
  const auto header = decode_object(parts->header, "the token's header");
  if (!header) return header.error();
  unverified_token out;
  if (auto right = read_header(out, *header); !right) return right.error();
  auto payload = decode_object(parts->payload, "the token's payload");
  if (!payload) return payload.error();
  auto signature = decode(parts->signature, "the token's signature");
  if (!signature) return signature.error();
  out.payload_ = *std::move(payload);
  out.signature_ = *std::move(signature);
  out.signed_text_ = compact.substr(0, parts->header.size() + 1 + parts->payload.size());
  return out;
}

result<unverified_token> read_token(std::string_view compact) { return token_reader::read(compact); }

// --- keys for a token -------------------------------------------------------------------------------

namespace {

// May the key have signed the token, as far as names say? A PEM has no name, and providers name the key in each token.
bool is_candidate(const token_key& one, const unverified_token& token) {
  if (!token.kid() || one.kid.empty()) return one.key.name() == token.alg();
  return one.kid == *token.kid();
}

} // namespace

bool has_key_for(const unverified_token& token, std::span<const token_key> keys) {
  return std::any_of(keys.begin(), keys.end(), [&](const token_key& k) { return is_candidate(k, token); });
}

bool token_rules::allows(std::string_view algorithm) const {
  return algorithms.empty() || contains(algorithms, algorithm);
}

// --- claims -----------------------------------------------------------------------------------------

class token_verifier {
public:
  static result<token_claims> verify(const unverified_token& token, std::span<const token_key> keys,
                                     const token_rules& rules, seconds_clock now);

private:
  static result<void> check_signature(const unverified_token& token, std::span<const token_key> keys,
                                      const token_rules& rules);
};

namespace {

constexpr seconds_clock latest = std::chrono::sys_days{std::chrono::year{10000} / 1 / 1} - std::chrono::seconds(1);

enum class rounding { down, up };

// A NumericDate (RFC 7519 §2): seconds since 1970, perhaps with a fraction. Nothing: the claim is absent. A fraction is
// rounded so that the token is valid for less time, never for more.
result<std::optional<seconds_clock>> read_time(const json_value& payload, const std::string& name, rounding how) {
  const auto* v = payload.find(name);
  if (!v) return std::optional<seconds_clock>{};
  auto wrong = refused("the token's " + name + " is not a number of seconds since 1970");
  std::int64_t seconds = 0;
  if (const auto* whole = v->if_int()) {
    seconds = *whole;
  } else if (const auto* number = v->if_double()) {
    const double d = how == rounding::down ? std::floor(*number) : std::ceil(*number);
    if (!(d >= 0 && d < 0x1p63)) return wrong; // NaN too
    seconds = static_cast<std::int64_t>(d);
  } else {
    return wrong;
  }
  if (seconds < 0) return wrong;
  return std::optional(std::min(seconds_clock{std::chrono::seconds(seconds)}, latest));
}

result<seconds_clock> check_times(const json_value& payload, std::chrono::seconds leeway, seconds_clock now) {
  const auto exp = read_time(payload, "exp", rounding::down), nbf = read_time(payload, "nbf", rounding::up),
             iat = read_time(payload, "iat", rounding::up);
  for (const auto* one : {&exp, &nbf, &iat})
    if (!*one) return one->error();
  if (!*exp) return refused("the token has no exp, so it would never expire");
  if (now - leeway >= **exp) return refused("the token has expired");
  if (*nbf && **nbf > now + leeway) return refused("the token is not yet valid (nbf)");
  if (*iat && **iat > now + leeway) return refused("the token was issued in the future (iat)");
  return **exp;
}

result<void> check_issuer(const json_value& payload, const token_rules& rules) {
  const auto* iss = payload.find("iss");
  if (iss && !iss->if_string()) return refused("the token's iss is not a text");
  if (rules.issuer.empty()) return {};
  if (!iss) return refused("the token has no iss, and an issuer is required");
  if (*iss->if_string() != rules.issuer) return refused("the token is from another issuer (iss)");
  return {};
}

result<void> check_audience(const json_value& payload, const token_rules& rules) {
  const auto* aud = payload.find("aud");
  std::vector<std::string_view> named;
  if (aud && aud->if_string()) {
    named.push_back(*aud->if_string());
  } else if (aud) {
    const auto* list = aud->if_array();
    const auto is_text = [](const json_value& v) { return v.if_string() != nullptr; };
    if (!list || !std::all_of(list->begin(), list->end(), is_text))
      return refused("the token's aud is neither a text nor a list of texts");
    for (const auto& one : *list) named.push_back(*one.if_string());
  }
  if (rules.audience.empty()) return {};
  if (!aud) return refused("the token has no aud, and an audience is required");
  if (!contains(named, rules.audience)) return refused("the token is for another audience (aud)");
  return {};
}

// The subject becomes a part of an object key.
result<std::string> check_subject(const json_value& payload) {
  const auto* sub = payload.find("sub");
  if (!sub || !sub->if_string() || sub->if_string()->empty())
    return refused("the token has no sub, which names its user");
  const auto& text = *sub->if_string();
  if (const auto why = why_no_key_part(text); !why.empty()) return refused("the token's sub " + why);
  return text;
}

} // namespace

result<void> token_verifier::check_signature(const unverified_token& token, std::span<const token_key> keys,
                                             const token_rules& rules) {
  if (!rules.allows(token.alg())) return refused("the token's alg " + token.alg() + " is not allowed here");
  if (!has_key_for(token, keys))
    return refused(token.kid() ? "no key has the token's kid" : "no key is for the token's alg " + token.alg());
  bool is_tried = false;
  for (const auto& one : keys) {
    // The key decides on the algorithm. Otherwise a public key could serve as the secret of an HS256 token.
    if (!is_candidate(one, token) || one.key.name() != token.alg()) continue;
    if (one.key.verify(token.signed_text_, token.signature_)) return {};
    is_tried = true;
  }
  return refused(is_tried ? "the token's signature is wrong" : "the token's alg is not that of the key with its kid");
}

result<token_claims> token_verifier::verify(const unverified_token& token, std::span<const token_key> keys,
                                            const token_rules& rules, seconds_clock now) {
  if (auto right = check_signature(token, keys, rules); !right) return right.error();
  const auto expires = check_times(token.payload_, rules.leeway, now);
  if (!expires) return expires.error();
  if (auto right = check_issuer(token.payload_, rules); !right) return right.error();
  if (auto right = check_audience(token.payload_, rules); !right) return right.error();
  auto subject = check_subject(token.payload_);
  if (!subject) return subject.error();
  return token_claims{*std::move(subject), *expires, token.payload_};
}

result<token_claims> verify_token(const unverified_token& token, std::span<const token_key> keys,
                                  const token_rules& rules, seconds_clock now) {
  return token_verifier::verify(token, keys, rules, now);
}

} // namespace postern
