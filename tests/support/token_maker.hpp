// Makes key pairs, JWKs and signed tokens for tests, with OpenSSL and no code of the verifier.
#pragma once

#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace postern::test {

// A private key, or a secret, that signs. Its name is the algorithm in the header of a token.
class signing_key {
public:
  static signing_key rsa(unsigned bits = 2048) { return {"RS256", EVP_RSA_gen(bits)}; }
  static signing_key ec(const char* curve = "P-256") { return {"ES256", EVP_EC_gen(curve)}; }
  static signing_key ed25519() { return {"EdDSA", EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")}; }
  static signing_key shared(std::string secret) {
    signing_key out("HS256", nullptr);
    out.secret_ = std::move(secret);
    return out;
  }

  const std::string& name() const { return name_; }

  // The signature as it stands in a token, before base64url.
  std::string sign(std::string_view text) const {
    if (!key_) {
      const auto mac = hmac_sha256(secret_, text);
      return {reinterpret_cast<const char*>(mac.data()), mac.size()};
    }
    auto out = sign_raw(text);
    return name_ == "ES256" ? from_der(out) : out;
  }
  // The signature as OpenSSL makes it: of an EC key, DER.
  std::string sign_raw(std::string_view text) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::string out(2048, '\0');
    std::size_t n = out.size();
    if (EVP_DigestSignInit(context.get(), nullptr, name_ == "EdDSA" ? nullptr : EVP_sha256(), nullptr, key_.get()) !=
            1 ||
        EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &n,
                       reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1)
      throw std::runtime_error("OpenSSL cannot sign");
    out.resize(n);
    return out;
  }

  std::string public_pem() const {
    return written([&](BIO* to) { PEM_write_bio_PUBKEY(to, key_.get()); });
  }
  std::string private_pem() const {
    return written([&](BIO* to) { PEM_write_bio_PrivateKey(to, key_.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  }
  // PKCS #1: "BEGIN RSA PUBLIC KEY".
  std::string old_rsa_pem() const {
    unsigned char* bytes = nullptr;
    const int n = i2d_PublicKey(key_.get(), &bytes);
    const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owned(bytes,
                                                                         [](unsigned char* b) { OPENSSL_free(b); });
    return written([&](BIO* to) { PEM_write_bio(to, PEM_STRING_RSA_PUBLIC, "", bytes, n); });
  }
  std::string public_der() const {
    return written([&](BIO* to) { i2d_PUBKEY_bio(to, key_.get()); });
  }
  std::string certificate_pem() const {
    const std::unique_ptr<X509, decltype(&X509_free)> x(X509_new(), X509_free);
    X509_set_version(x.get(), X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(x.get()), 60);
    X509_set_pubkey(x.get(), key_.get());
    X509_sign(x.get(), key_.get(), name_ == "EdDSA" ? nullptr : EVP_sha256());
    return written([&](BIO* to) { PEM_write_bio_X509(to, x.get()); });
  }

  // The public members of a JWK, without braces: "kty":"EC","crv":"P-256",… For a secret: kty and k.
  std::string jwk_members() const {
    const auto member = [](std::string_view name, std::string_view value) {
      return ",\"" + std::string(name) + "\":\"" + to_base64url(value) + "\"";
    };
    if (!key_) return "\"kty\":\"oct\"" + member("k", secret_);
    if (name_ == "RS256")
      return "\"kty\":\"RSA\"" + member("n", number(OSSL_PKEY_PARAM_RSA_N, 0)) +
             member("e", number(OSSL_PKEY_PARAM_RSA_E, 0));
    if (name_ == "ES256")
      return R"("kty":"EC","crv":"P-256")" + member("x", number(OSSL_PKEY_PARAM_EC_PUB_X, 32)) +
             member("y", number(OSSL_PKEY_PARAM_EC_PUB_Y, 32));
    unsigned char x[32];
    std::size_t n = sizeof x;
    EVP_PKEY_get_raw_public_key(key_.get(), x, &n);
    return R"("kty":"OKP","crv":"Ed25519")" + member("x", {reinterpret_cast<char*>(x), n});
  }

private:
  signing_key(std::string name, EVP_PKEY* key) : name_(std::move(name)), key_(key, EVP_PKEY_free) {}

  template <class Write> static std::string written(Write write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    write(out.get());
    char* text = nullptr;
    const auto n = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(n)};
  }
  static std::string bytes_of(const BIGNUM* n, std::size_t size) {
    std::string out(size ? size : static_cast<std::size_t>(BN_num_bytes(n)), '\0');
    BN_bn2binpad(n, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
    return out;
  }
  std::string number(const char* name, std::size_t size) const {
    BIGNUM* n = nullptr;
    EVP_PKEY_get_bn_param(key_.get(), name, &n);
    const std::unique_ptr<BIGNUM, decltype(&BN_free)> owned(n, BN_free);
    return bytes_of(n, size);
  }
  static std::string from_der(std::string_view der) {
    const auto* at = reinterpret_cast<const unsigned char*>(der.data());
    const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> both(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
    return bytes_of(ECDSA_SIG_get0_r(both.get()), 32) + bytes_of(ECDSA_SIG_get0_s(both.get()), 32);
  }

  std::string name_;
  std::shared_ptr<EVP_PKEY> key_;
  std::string secret_;
};

// A token whose header and payload are these bytes, signed with that key.
inline std::string make_token(const signing_key& key, std::string_view header, std::string_view payload) {
  const auto text = to_base64url(header) + "." + to_base64url(payload);
  return text + "." + to_base64url(key.sign(text));
}

// The header that belongs to the key, with further members: ,"kid":"a"
inline std::string header_of(const signing_key& key, std::string_view more = {}) {
  return R"({"typ":"JWT","alg":")" + key.name() + "\"" + std::string(more) + "}";
}

} // namespace postern::test
