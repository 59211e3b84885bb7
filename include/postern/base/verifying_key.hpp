// A key that verifies signatures: a shared secret, or somebody's public key. A key belongs to one algorithm and
// verifies no other kind of signature. So a token cannot choose how it is verified. Built on OpenSSL, which this header
// hides. Immutable; copies share the key, and threads may share it. A key cannot be printed.
//
//   HS256   HMAC with SHA-256, a shared secret                    RFC 7518 §3.2
//   RS256   RSASSA-PKCS1-v1_5 with SHA-256                        RFC 7518 §3.3
//   ES256   ECDSA with P-256 and SHA-256, 64 bytes: r, then s     RFC 7518 §3.4
//   EdDSA   Ed25519                                               RFC 8037 §3.1
#pragma once

#include <postern/base/digest.hpp>
#include <postern/base/error.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>

#include <array>
#include <memory>
#include <string_view>
#include <variant>

struct evp_pkey_st;

namespace postern {

class verifying_key {
public:
  enum class algorithm { hs256, rs256, es256, eddsa };
  static constexpr std::array<std::string_view, 4> names{"HS256", "RS256", "ES256", "EdDSA"};

  static constexpr std::size_t min_secret = 32;     // bytes of an HS256 secret (RFC 7518 §3.2)
  static constexpr std::size_t min_rsa_bits = 2048; // RFC 7518 §3.3
  static constexpr std::size_t max_rsa_bits = 8192; // a longer key takes too long for each signature
  static constexpr std::size_t max_pem = 64 << 10;  // bytes of a PEM text

  // Each maker fails with errc::invalid_argument. The text says what is wrong with the key and what to do, and never
  // contains the key.

  // An HS256 key. The bytes of the secret are the key.
  static result<verifying_key> from_secret(const secret& shared);
  // The one key in a PEM text: a public key (SubjectPublicKeyInfo, "BEGIN PUBLIC KEY") or a certificate. The dates and
  // the issuer of a certificate are not checked. A private key is refused, since it must not be here.
  static result<verifying_key> from_pem(std::string_view text);
  // A JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2): kty RSA, EC, OKP or oct, and the members of that type. A private JWK
  // is refused. The caller judges use, key_ops, alg and kid.
  static result<verifying_key> from_jwk(const json_value& jwk);

  algorithm kind() const;
  std::string_view name() const; // as in the header of a token: "HS256", "RS256", "ES256", "EdDSA"

  // Was the signature made over exactly this text, with this key and its algorithm? False as well for a signature that
  // cannot be read. Leaves no error in OpenSSL's queue.
  bool verify(std::string_view signed_text, std::string_view signature) const;

private:
  struct public_key {
    std::shared_ptr<evp_pkey_st> key;
    algorithm kind;
  };
  explicit verifying_key(hmac_key key) : key_(key) {}
  explicit verifying_key(public_key key) : key_(std::move(key)) {}
  static result<verifying_key> from_public_key(std::shared_ptr<evp_pkey_st> key);

  std::variant<hmac_key, public_key> key_;
};

} // namespace postern
