// The contract for requests to Amazon SNS: for the certificates that verify its messages, and to confirm a
// subscription. `node` owns one; every thread uses it.
#pragma once

#include <postern/base/certificate.hpp>
#include <postern/base/dates.hpp>
#include <postern/core/events/sns.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/tasks.hpp>

#include <memory>
#include <string>

namespace postern {

class sns {
public:
  virtual ~sns() = default;

  // The certificate at this URL, after it was checked: valid now, issued for SNS, by a trusted issuer. errc::forbidden:
  // a check failed. errc::unavailable: SNS cannot be reached now, or too many certificates are being fetched.
  virtual task<result<certificate>> signing_certificate(sns_url at, seconds_clock now) = 0;

  // Confirms a subscription with a GET. errc::unavailable: try later. errc::forbidden: SNS refused.
  virtual task<result<void>> confirm(sns_url at) = 0;
};

// Uses verified HTTPS through `http`, which must outlive this and trust the same issuers. Caches the sixteen newest
// certificates by URL until they expire. SNS does not send the issuer's certificate with its own: that one is fetched
// from the URL in the certificate, if it belongs to Amazon Trust Services.
std::unique_ptr<sns> make_sns(http_client& http, trusted_issuers trusted);

} // namespace postern
