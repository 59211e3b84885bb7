// Certificates made for one test: an authority, and servers that it vouches for.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

namespace postern::test {

class certificate {
public:
  // Valid from an hour ago for `hours` in all; signed by `issuer`, or by itself where that is nullptr. `names` as
  // OpenSSL writes them: "DNS:example.com,IP:127.0.0.1".
  certificate(const std::string& subject, const std::string& names, const certificate* issuer = nullptr,
              long hours = 24) {
    check(key_ && x509_);
    ASN1_INTEGER_set(X509_get_serialNumber(x509_.get()), ++serial());
    X509_set_version(x509_.get(), X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(x509_.get()), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x509_.get()), 3600 * (hours - 1));
    X509_set_pubkey(x509_.get(), key_.get());
    auto* name = X509_get_subject_name(x509_.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(subject.c_str()), -1,
                               -1, 0);
    const auto& by = issuer ? *issuer : *this;
    X509_set_issuer_name(x509_.get(), X509_get_subject_name(by.x509_.get()));
    if (names.empty())
      extend(NID_basic_constraints, "critical,CA:TRUE");
    else
      extend(NID_subject_alt_name, names);
    check(X509_sign(x509_.get(), by.key_.get(), EVP_sha256()) > 0);
  }

  // Writes the certificate as PEM.
  void save(const std::filesystem::path& to) const {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(to.c_str(), "w"), &std::fclose);
    check(file && PEM_write_X509(file.get(), x509_.get()));
  }

  // A server that shows this certificate.
  std::unique_ptr<boost::asio::ssl::context> server() const {
    auto made = std::make_unique<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
    check(SSL_CTX_use_certificate(made->native_handle(), x509_.get()) == 1 &&
          SSL_CTX_use_PrivateKey(made->native_handle(), key_.get()) == 1);
    return made;
  }

private:
  static void check(bool good) {
    if (!good) throw std::runtime_error("OpenSSL cannot make a certificate");
  }
  static long& serial() {
    static long last = 0;
    return last;
  }
  void extend(int what, const std::string& value) {
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> made(
        X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str()), &X509_EXTENSION_free);
    check(made && X509_add_ext(x509_.get(), made.get(), -1));
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_{EVP_EC_gen("P-256"), &EVP_PKEY_free};
  std::unique_ptr<X509, decltype(&X509_free)> x509_{X509_new(), &X509_free};
};

} // namespace postern::test
