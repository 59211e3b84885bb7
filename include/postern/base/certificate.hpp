// X.509 certificates as evidence: whose they are, whether a chain leads to somebody who is trusted, and whether a
// signature was made with the key in them. OpenSSL's, which this header hides.
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

// Who is trusted. Immutable; share freely between threads.
class trusted_issuers {
public:
  // A PEM file of certificates, each trusted as it stands; empty: the system's. Throws std::runtime_error when it
  // cannot be used.
  explicit trusted_issuers(const std::string& ca_file);

private:
  friend class certificate;
  std::shared_ptr<x509_store_st> store_;
};

// One certificate. Immutable; copies share it.
class certificate {
public:
  // All certificates of a PEM text, in its order, eight at most; at least one, else errc::bad_request.
  static result<std::vector<certificate>> read_pem(std::string_view text);
  // One in DER. errc::bad_request.
  static result<certificate> read_der(std::string_view bytes);

  // Is it for that host? Its alternative names count, or its common name where it has none (RFC 6125).
  bool is_for(const std::string& host) const;
  seconds_clock expires() const; // the last second in which it is valid
  // Where its issuer's certificate may be fetched (RFC 5280 §4.2.2.1, caIssuers); empty: not said.
  std::string issuer_url() const;

  // Does a chain of valid signatures lead from it, through any of `between`, to somebody trusted, all of them being in
  // force at that moment? errc::forbidden says why not.
  result<void> check(const trusted_issuers& trusted, const std::vector<certificate>& between, seconds_clock now) const;

  enum class digest { sha1, sha256 };
  // Is this the RSA signature (PKCS #1 v1.5) over the text, by the key in here? A key under 2048 bits signs nothing.
  bool verifies(digest how, std::string_view text, std::string_view signature) const;

private:
  explicit certificate(x509_st* owned);
  std::shared_ptr<x509_st> x_;
};

} // namespace postern
