// X.509 certificates: which host they are for, whether a chain leads to a trusted issuer, and whether a signature was
// made with their key. Built on OpenSSL, which this header hides. Immutable values.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct x509_st;
struct x509_store_st;

namespace postern {

// The issuers that are trusted. Immutable; threads may share it.
class trusted_issuers {
public:
  // Trusts each certificate of the PEM file; empty: the system's. Throws std::runtime_error if the file cannot be used.
  explicit trusted_issuers(const std::string& ca_file);

private:
  friend class certificate;
  std::shared_ptr<x509_store_st> store_;
};

// One certificate. Immutable; copies share it.
class certificate {
public:
  // Parses one to eight certificates of a PEM text, in the order of the text. errc::bad_request.
  static result<std::vector<certificate>> read_pem(std::string_view text);
  // Parses one certificate in DER. errc::bad_request.
  static result<certificate> read_der(std::string_view bytes);

  // Whether the certificate is for that host: by its alternative names, or by its common name if it has none (RFC
  // 6125).
  bool is_for(const std::string& host) const;
  seconds_clock expires() const; // the last second in which it is valid
  // The URL of the issuer's certificate (RFC 5280 §4.2.2.1, caIssuers); empty: there is none.
  std::string issuer_url() const;

  // Verifies a chain from this certificate, through any of `between`, to a trusted issuer: each signature, and that
  // each certificate is valid at that time. errc::forbidden says why the chain does not hold.
  result<void> check(const trusted_issuers& trusted, const std::vector<certificate>& between, seconds_clock now) const;

  enum class digest { sha1, sha256 };
  // Whether this RSA signature (PKCS #1 v1.5) over the text was made with the certificate's key. False for keys under
  // 2048 bits.
  bool verifies(digest how, std::string_view text, std::string_view signature) const;

private:
  explicit certificate(x509_st* owned);
  std::shared_ptr<x509_st> x_;
};

} // namespace postern
