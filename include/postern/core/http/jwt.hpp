// JSON Web Tokens (RFC 7519) as credentials: a compact JWS (RFC 7515) whose payload says who the caller is and until
// when, and the key sets (RFC 7517) that verify such tokens. Follows the best current practices of RFC 8725. Pure: keys
// and the time are parameters. Any thread.
//
// A token is verified in two steps, so that the caller can fetch a newer key set in between:
//
//   auto token = read_token(text);
//   if (token && !has_key_for(*token, keys)) … fetch the key set again, if that was not done recently …
//   auto claims = verify_token(*token, keys, rules, now);
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/base/json.hpp>
#include <postern/base/verifying_key.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

// --- key sets ---------------------------------------------------------------------------------------

// A key and the name by which tokens refer to it. An empty kid: the key has no name.
struct token_key {
  std::string kid;
  verifying_key key;
};

struct key_set {
  std::vector<token_key> keys;       // none only when the set is empty
  std::vector<std::string> left_out; // a sentence for each key that cannot be used, for a log line
};

constexpr std::size_t max_key_set = 256 << 10; // bytes of a key set
constexpr std::size_t max_token_keys = 100;    // in one key set; keys that cannot be used count too

// Whether a key set may have shared secrets (kty oct). A file may. A document that others can fetch must not.
enum class shared_secrets { refused, allowed };

// Reads a JWK Set. Leaves out each key that is malformed, private, of an unknown kind, not for signatures (use,
// key_ops) or whose alg is not that of its kind. Of two keys with the same kid and algorithm, the second is left out.
// The same kid may name keys of different algorithms (RFC 7517 §4.5).
//
// errc::invalid_argument: not a JWK Set, too long, too many keys, or no usable key; then the text has the reasons.
result<key_set> read_key_set(std::string_view json, shared_secrets secrets);

// --- tokens -----------------------------------------------------------------------------------------

constexpr std::size_t max_jwt = 8192; // bytes of a token

// A well-formed token whose signature nobody has verified yet. Its claims cannot be read: verify_token returns them.
class unverified_token {
public:
  const std::string& alg() const { return alg_; }                // one of the names of verifying_key
  const std::optional<std::string>& kid() const { return kid_; } // text from outside: only for comparing and quote()

private:
  friend class token_reader;
  friend class token_verifier;
  std::string alg_;
  std::optional<std::string> kid_;
  std::string signed_text_, signature_;
  json_value payload_;
};

// Reads a compact JWS: three parts in base64url without padding, a header and a payload that are JSON objects without
// repeated names. Refused by name: encrypted and unsigned tokens, unknown algorithms, another typ than JWT and at+jwt,
// and headers that change how a token is verified or bring their own key (crit, b64, zip, jku, jwk, x5u, x5c).
// errc::unauthorized. The text says what is wrong with the token and repeats nothing of it.
result<unverified_token> read_token(std::string_view compact);

// Is there a key by which this token may be signed? A key with the token's kid; or, when the token or the key has no
// kid, a key of the token's algorithm. False: a newer key set may have the key.
bool has_key_for(const unverified_token& token, std::span<const token_key> keys);

// What a token must be. An empty text or list: not checked.
struct token_rules {
  std::string issuer{};                  // iss is this text
  std::string audience{};                // aud is this text, or a list that has it
  std::vector<std::string> algorithms{}; // the names of the allowed ones; empty: the algorithm of each key
  std::chrono::seconds leeway{60};       // by which clocks may differ; not negative

  bool allows(std::string_view algorithm) const;
};

struct token_claims {
  std::string subject;      // stands for ${user} in keys: no slash, backslash, control character or ${, not . or ..
  seconds_clock expires_at; // at the latest at the end of the year 9999
  json_value payload;       // the whole object
};

// Verifies the signature, then the claims: exp (required), nbf, iat, iss, aud and sub (required). The key decides on
// the algorithm, and the token must name the same one. errc::unauthorized. The text says what is wrong with the token
// and repeats nothing of it, except the name of a known algorithm.
result<token_claims> verify_token(const unverified_token& token, std::span<const token_key> keys,
                                  const token_rules& rules, seconds_clock now);

} // namespace postern
