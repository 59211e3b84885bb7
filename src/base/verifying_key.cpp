#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/base/verifying_key.hpp>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <optional>

namespace postern {
namespace {

constexpr std::size_t coordinate = 32; // bytes of a number modulo P-256's prime or order, and of an Ed25519 key

template <auto release> struct releases {
  template <class T> void operator()(T* object) const { release(object); }
};
template <class T, auto release> using owned = std::unique_ptr<T, releases<release>>;
using number = owned<BIGNUM, BN_free>;
using key_context = owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using shared_key = std::shared_ptr<EVP_PKEY>;

// OpenSSL reports each failure in a queue of its thread, too. The next call must not find it there.
struct error_queue {
  ~error_queue() { ERR_clear_error(); }
};

failure bad(std::string what) { return {errc::invalid_argument, std::move(what)}; }

const unsigned char* as_bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
int size_of(std::string_view text) { return static_cast<int>(text.size()); }
std::string_view as_text(const sha256_bytes& b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
number to_number(std::string_view bytes) { return number(BN_bin2bn(as_bytes(bytes), size_of(bytes), nullptr)); }

// --- what a key must be -----------------------------------------------------------------------------

number number_of(const EVP_PKEY* key, const char* name) {
  BIGNUM* n = nullptr;
  EVP_PKEY_get_bn_param(key, name, &n);
  return number(n);
}

result<void> check_rsa(const EVP_PKEY* key) {
  const auto n = number_of(key, OSSL_PKEY_PARAM_RSA_N), e = number_of(key, OSSL_PKEY_PARAM_RSA_E);
  if (!n || !e) return bad("the RSA key cannot be read");
  const auto bits = static_cast<std::size_t>(BN_num_bits(n.get()));
  if (bits < verifying_key::min_rsa_bits || bits > verifying_key::max_rsa_bits)
    return bad("the RSA key has " + std::to_string(bits) + " bits; use one of " +
               std::to_string(verifying_key::min_rsa_bits) + " to " + std::to_string(verifying_key::max_rsa_bits));
  if (!BN_is_odd(n.get())) return bad("the modulus of the RSA key is even; export the key again");
  if (!BN_is_odd(e.get()) || BN_is_one(e.get()) || BN_num_bits(e.get()) > 64)
    return bad("the exponent of the RSA key must be odd, at least 3, and have at most 64 bits; it is usually 65537");
  return {};
}

result<void> check_ec(EVP_PKEY* key) {
  char curve[80] = "";
  std::size_t length = 0;
  if (EVP_PKEY_get_group_name(key, curve, sizeof curve, &length) != 1)
    return bad("the curve of the EC key is unknown; use P-256");
  if (std::string_view(curve) != SN_X9_62_prime256v1)
    return bad("the EC key is on the curve " + quote(curve, 40) + "; use P-256");
  const key_context context(EVP_PKEY_CTX_new(key, nullptr));
  if (!context || EVP_PKEY_public_check(context.get()) != 1)
    return bad("the point of the EC key is not on the curve P-256; export the key again");
  return {};
}

// --- PEM --------------------------------------------------------------------------------------------

struct pem_block {
  std::string name, der;
};

// The next block. Nothing: the text has no more.
result<std::optional<pem_block>> next_block(BIO* from) {
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long length = 0;
  if (PEM_read_bio(from, &name, &header, &data, &length) != 1) {
    if (ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) return std::optional<pem_block>{};
    return bad("the PEM text is damaged; export the key again");
  }
  std::optional<pem_block> out(pem_block{name, {}});
  const bool is_private = out->name.ends_with("PRIVATE KEY");
  if (!is_private) out->der.assign(reinterpret_cast<char*>(data), static_cast<std::size_t>(length));
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_clear_free(data, static_cast<std::size_t>(length));
  if (is_private)
    return bad("the PEM text has a private key, and Postern must not have it; "
               "give the public key: openssl pkey -in private.pem -pubout");
  return out;
}

result<pem_block> only_block(std::string_view text) {
  const owned<BIO, BIO_free> from(BIO_new_mem_buf(text.data(), size_of(text)));
  std::optional<pem_block> first;
  for (;;) {
    auto block = next_block(from.get());
    if (!block) return block.error();
    if (!*block) break;
    if (first) return bad("the PEM text has more than one key or certificate; give each key separately");
    first = std::move(*block);
  }
  if (!first) return bad("the text is not PEM; it must begin with \"-----BEGIN PUBLIC KEY-----\"");
  return *std::move(first);
}

// --- JWK --------------------------------------------------------------------------------------------

const std::string* text_member(const json_value& jwk, std::string_view name) {
  const auto* v = jwk.find(name);
  return v ? v->if_string() : nullptr;
}

// The bytes of a base64url member. `size`: as many bytes as that; 0: any number.
result<std::string> bytes_member(const json_value& jwk, std::string_view name, std::size_t size = 0) {
  const std::string what = "the member " + std::string(name) + " of the JWK";
  const auto* text = text_member(jwk, name);
  if (!text || text->empty()) return bad(what + " must be a text in base64url");
  auto bytes = from_base64url(*text);
  if (!bytes) return bad(what + " is not base64url: " + bytes.error().on);
  if (size && bytes->size() != size)
    return bad(what + " has " + std::to_string(bytes->size()) + " bytes; it must have " + std::to_string(size));
  return bytes;
}

// Makes a public key of that type ("RSA", "EC") from OpenSSL's parameters; nullptr when OpenSSL rejects them.
shared_key key_from(const char* type, OSSL_PARAM* parameters) {
  const key_context context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
    return nullptr;
  return {key, EVP_PKEY_free};
}

result<shared_key> rsa_from_jwk(const json_value& jwk) {
  const auto n = bytes_member(jwk, "n"), e = bytes_member(jwk, "e");
  if (!n) return n.error();
  if (!e) return e.error();
  const auto modulus = to_number(*n), exponent = to_number(*e);
  const owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1)
    return bad("the RSA key cannot be read");
  const owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  return key_from("RSA", parameters.get());
}

result<shared_key> ec_from_jwk(const json_value& jwk) {
  const auto* curve = text_member(jwk, "crv");
  if (!curve || *curve != "P-256")
    return bad("the member crv of the EC JWK is " + (curve ? quote(*curve, 40) : "no text") + "; use P-256");
  const auto x = bytes_member(jwk, "x", coordinate), y = bytes_member(jwk, "y", coordinate);
  if (!x) return x.error();
  if (!y) return y.error();
  std::string group = SN_X9_62_prime256v1, point = "\x04" + *x + *y; // uncompressed: SEC 1 §2.3.3
  OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size()),
                             OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()),
                             OSSL_PARAM_construct_end()};
  auto key = key_from("EC", parameters);
  if (!key) return bad("the point of the EC key is not on the curve P-256; export the key again");
  return key;
}

result<shared_key> okp_from_jwk(const json_value& jwk) {
  const auto* curve = text_member(jwk, "crv");
  if (!curve || *curve != "Ed25519")
    return bad("the member crv of the OKP JWK is " + (curve ? quote(*curve, 40) : "no text") + "; use Ed25519");
  const auto x = bytes_member(jwk, "x", coordinate);
  if (!x) return x.error();
  return shared_key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, as_bytes(*x), x->size()), EVP_PKEY_free);
}

// --- signatures -------------------------------------------------------------------------------------

// ES256's r and s in the form that OpenSSL reads (RFC 3279 §2.2.3). Empty: the signature has another length.
std::string to_der(std::string_view signature) {
  if (signature.size() != 2 * coordinate) return {};
  const owned<ECDSA_SIG, ECDSA_SIG_free> both(ECDSA_SIG_new());
  auto r = to_number(signature.substr(0, coordinate)), s = to_number(signature.substr(coordinate));
  if (!both || !r || !s || ECDSA_SIG_set0(both.get(), r.get(), s.get()) != 1) return {};
  (void)r.release(), (void)s.release(); // `both` owns them
  unsigned char* bytes = nullptr;
  const int length = i2d_ECDSA_SIG(both.get(), &bytes);
  if (length <= 0) return {};
  std::string out(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(length));
  OPENSSL_free(bytes);
  return out;
}

bool verify_public(EVP_PKEY* key, const EVP_MD* digest, std::string_view text, std::string_view signature) {
  const owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  return context && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), as_bytes(signature), signature.size(), as_bytes(text), text.size()) == 1;
}

} // namespace

// --- verifying_key ----------------------------------------------------------------------------------

result<verifying_key> verifying_key::from_public_key(std::shared_ptr<evp_pkey_st> key) {
  if (!key) return bad("the key cannot be read; export it again");
  const auto checked = [&](const result<void>& check, algorithm kind) -> result<verifying_key> {
    if (!check) return check.error();
    return verifying_key(public_key{key, kind});
  };
  switch (EVP_PKEY_get_base_id(key.get())) {
  case EVP_PKEY_RSA: return checked(check_rsa(key.get()), algorithm::rs256);
  case EVP_PKEY_EC: return checked(check_ec(key.get()), algorithm::es256);
  case EVP_PKEY_ED25519: return checked({}, algorithm::eddsa);
  default: break;
  }
  const auto* type = EVP_PKEY_get0_type_name(key.get());
  return bad("the key is of the kind " + quote(type ? type : "unknown", 40) + "; use RSA, EC with P-256, or Ed25519");
}

result<verifying_key> verifying_key::from_secret(const secret& shared) {
  const std::string_view bytes = shared.reveal();
  if (trim(bytes, " \t\r\n").starts_with("-----BEGIN"))
    return bad("the secret is a PEM text, which others may know; give it as a key, or give a random secret");
  if (bytes.size() < min_secret)
    return bad("the secret has " + std::to_string(bytes.size()) + " bytes; HS256 needs at least " +
               std::to_string(min_secret) + ". Make one: openssl rand -hex 32");
  return verifying_key(hmac_key(bytes));
}

result<verifying_key> verifying_key::from_pem(std::string_view text) {
  const error_queue queue;
  if (text.size() > max_pem)
    return bad("the PEM text has " + std::to_string(text.size()) + " bytes; the maximum is " + std::to_string(max_pem));
  const auto block = only_block(text);
  if (!block) return block.error();
  const auto* at = as_bytes(block->der);
  const auto* end = at + block->der.size();
  shared_key key;
  if (block->name == PEM_STRING_PUBLIC) {
    key.reset(d2i_PUBKEY(nullptr, &at, size_of(block->der)), EVP_PKEY_free);
  } else if (block->name == PEM_STRING_X509) {
    const owned<X509, X509_free> certificate(d2i_X509(nullptr, &at, size_of(block->der)));
    if (certificate) key.reset(X509_get_pubkey(certificate.get()), EVP_PKEY_free);
  } else if (block->name == PEM_STRING_RSA_PUBLIC) {
    return bad("the PEM text is in the old form for RSA; convert it: openssl rsa -RSAPublicKey_in -in key.pem -pubout");
  } else {
    return bad("the PEM text has a " + quote(block->name, 40) + "; give a \"PUBLIC KEY\" or a \"CERTIFICATE\"");
  }
  if (key && at != end) return bad("the key is followed by other bytes; export the key again");
  return from_public_key(std::move(key));
}

result<verifying_key> verifying_key::from_jwk(const json_value& jwk) {
  const error_queue queue;
  const auto* type = text_member(jwk, "kty");
  if (!type) return bad("the JWK has no member kty");
  if (*type == "oct") {
    const auto k = bytes_member(jwk, "k");
    if (!k) return k.error();
    return from_secret(secret(*k));
  }
  if (jwk.find("d"))
    return bad("the JWK has a private key (member d), and Postern must not have it; give the public JWK");
  const auto made = [](result<shared_key> key) -> result<verifying_key> {
    if (!key) return key.error();
    return from_public_key(*std::move(key));
  };
  if (*type == "RSA") return made(rsa_from_jwk(jwk));
  if (*type == "EC") return made(ec_from_jwk(jwk));
  if (*type == "OKP") return made(okp_from_jwk(jwk));
  return bad("the JWK is of the kind " + quote(*type, 40) + "; use RSA, EC, OKP or oct");
}

verifying_key::algorithm verifying_key::kind() const {
  const auto* shared = std::get_if<public_key>(&key_);
  return shared ? shared->kind : algorithm::hs256;
}

std::string_view verifying_key::name() const {
  switch (kind()) {
  case algorithm::hs256: return "HS256";
  case algorithm::rs256: return "RS256";
  case algorithm::es256: return "ES256";
  case algorithm::eddsa: break;
  }
  return "EdDSA";
}

bool verifying_key::verify(std::string_view signed_text, std::string_view signature) const {
  const error_queue queue;
  if (const auto* shared = std::get_if<hmac_key>(&key_))
    return equal_constant_time(as_text(shared->sign(signed_text)), signature);
  const auto& [key, kind] = std::get<public_key>(key_);
  if (kind == algorithm::eddsa)
    return verify_public(key.get(), nullptr, signed_text, signature); // it digests by itself
  if (kind == algorithm::rs256) return verify_public(key.get(), EVP_sha256(), signed_text, signature);
  const auto der = to_der(signature);
  return !der.empty() && verify_public(key.get(), EVP_sha256(), signed_text, der);
}

} // namespace postern
