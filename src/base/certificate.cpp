#include <postern/base/certificate.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <stdexcept>

namespace postern {
namespace {

constexpr std::size_t max_certificates = 8;

struct free_bio {
  void operator()(BIO* b) const { BIO_free(b); }
};
using bio = std::unique_ptr<BIO, free_bio>;

bio reading(std::string_view text) { return bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

} // namespace

// --- trusted_issuers --------------------------------------------------------------------------------

trusted_issuers::trusted_issuers(const std::string& ca_file) : store_(X509_STORE_new(), X509_STORE_free) {
  const int read = ca_file.empty() ? X509_STORE_set_default_paths(store_.get())
                                   : X509_STORE_load_file(store_.get(), ca_file.c_str());
  if (read != 1) {
    ERR_clear_error();
    throw std::runtime_error("the CA file \"" + ca_file + "\" cannot be used; name a PEM file that this user may read");
  }
  // Each issuer in the file is trusted by itself, even if the file lacks that issuer's own issuer.
  if (!ca_file.empty()) X509_STORE_set_flags(store_.get(), X509_V_FLAG_PARTIAL_CHAIN);
}

// --- certificate ------------------------------------------------------------------------------------

certificate::certificate(x509_st* owned) : x_(owned, X509_free) {}

result<std::vector<certificate>> certificate::read_pem(std::string_view text) {
  std::vector<certificate> out;
  const auto from = reading(text);
  while (auto* x = PEM_read_bio_X509(from.get(), nullptr, nullptr, nullptr)) {
    out.push_back(certificate(x));
    if (out.size() > max_certificates)
      return failure{errc::bad_request, "the file has more than " + std::to_string(max_certificates) + " certificates"};
  }
  ERR_clear_error(); // OpenSSL reports the end of the text as an error
  if (out.empty()) return failure{errc::bad_request, "not a certificate in PEM"};
  return out;
}

result<certificate> certificate::read_der(std::string_view bytes) {
  const auto from = reading(bytes);
  auto* x = d2i_X509_bio(from.get(), nullptr);
  ERR_clear_error();
  if (!x) return failure{errc::bad_request, "not a certificate in DER"};
  return certificate(x);
}

bool certificate::is_for(const std::string& host) const {
  return X509_check_host(x_.get(), host.data(), host.size(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, nullptr) == 1;
}

seconds_clock certificate::expires() const {
  std::tm when{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(x_.get()), &when) != 1) return {};
  return seconds_clock{std::chrono::seconds(timegm(&when))};
}

std::string certificate::issuer_url() const {
  std::string out;
  auto* all = static_cast<AUTHORITY_INFO_ACCESS*>(X509_get_ext_d2i(x_.get(), NID_info_access, nullptr, nullptr));
  for (int i = 0; all && i < sk_ACCESS_DESCRIPTION_num(all) && out.empty(); ++i) {
    const auto* one = sk_ACCESS_DESCRIPTION_value(all, i);
    if (OBJ_obj2nid(one->method) != NID_ad_ca_issuers || one->location->type != GEN_URI) continue;
    const auto* text = one->location->d.uniformResourceIdentifier;
    out.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
               static_cast<std::size_t>(ASN1_STRING_length(text)));
  }
  AUTHORITY_INFO_ACCESS_free(all);
  return out;
}

result<void> certificate::check(const trusted_issuers& trusted, const std::vector<certificate>& between,
                                seconds_clock now) const {
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> context(X509_STORE_CTX_new(),
                                                                                X509_STORE_CTX_free);
  const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> others(sk_X509_new_null(),
                                                                          [](STACK_OF(X509) * s) { sk_X509_free(s); });
  for (const auto& one : between) sk_X509_push(others.get(), one.x_.get());
  if (!context || !others || X509_STORE_CTX_init(context.get(), trusted.store_.get(), x_.get(), others.get()) != 1)
    return failure{errc::internal, "no memory for checking a certificate"};
  X509_STORE_CTX_set_time(context.get(), 0, static_cast<std::time_t>(now.time_since_epoch().count()));
  const bool right = X509_verify_cert(context.get()) == 1;
  const int why = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (!right) return failure{errc::forbidden, std::string("the certificate: ") + X509_verify_cert_error_string(why)};
  return {};
}

bool certificate::verifies(digest how, std::string_view text, std::string_view signature) const {
  auto* key = X509_get0_pubkey(x_.get());
  if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < 2048) return false;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const auto bytes = [](std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); };
  const bool right = context &&
                     EVP_DigestVerifyInit(context.get(), nullptr, how == digest::sha256 ? EVP_sha256() : EVP_sha1(),
                                          nullptr, key) == 1 &&
                     EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text), text.size()) == 1;
  ERR_clear_error();
  return right;
}

} // namespace postern
