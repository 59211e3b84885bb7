// A certificate authority for tests: makes keys, certificates and signatures with OpenSSL.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

namespace postern::test {

struct made_certificate {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> x;

  std::string pem() const {
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio_X509(out.get(), x.get());
    char* text = nullptr;
    const auto n = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(n)};
  }
  std::string der() const {
    unsigned char* bytes = nullptr;
    const int n = i2d_X509(x.get(), &bytes);
    std::string out(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(n));
    OPENSSL_free(bytes);
    return out;
  }
  std::string sign(const EVP_MD* how, std::string_view text) const {
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::string out(512, '\0');
    std::size_t n = out.size();
    EVP_DigestSignInit(context.get(), nullptr, how, nullptr, key.get());
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &n,
                   reinterpret_cast<const unsigned char*>(text.data()), text.size());
    out.resize(n);
    return out;
  }
};

struct certificate_order {
  std::string name = "sns.amazonaws.com";
  bool authority = false;
  const made_certificate* by = nullptr; // nullptr: self-signed
  std::string issuer_url{};
  long from = -86400, until = 86400; // seconds from now
  unsigned bits = 2048;
  std::string alternative_name{}; // instead of the common name
};

inline made_certificate make_certificate(const certificate_order& order) {
  made_certificate out;
  out.key.reset(EVP_RSA_gen(order.bits), EVP_PKEY_free);
  out.x.reset(X509_new(), X509_free);
  auto* x = out.x.get();
  X509_set_version(x, 2);
  static long serial = 0;
  ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x), order.from);
  X509_gmtime_adj(X509_getm_notAfter(x), order.until);
  X509_set_pubkey(x, out.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(order.name.c_str()), -1, -1, 0);
  const auto& issuer = order.by ? *order.by : out;
  X509_set_issuer_name(x, X509_get_subject_name(issuer.x.get()));
  const auto extend = [&](int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer.x.get(), x, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> e(
        X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()), X509_EXTENSION_free);
    X509_add_ext(x, e.get(), -1);
  };
  extend(NID_basic_constraints, order.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!order.issuer_url.empty()) extend(NID_info_access, "caIssuers;URI:" + order.issuer_url);
  if (!order.alternative_name.empty()) extend(NID_subject_alt_name, "DNS:" + order.alternative_name);
  X509_sign(x, issuer.key.get(), EVP_sha256());
  return out;
}

} // namespace postern::test
