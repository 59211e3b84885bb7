// The contract for asking Amazon SNS: for the certificates with which it signs, and to confirm a subscription. Shared
// by all threads.
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

  // The certificate there, which is in force, belongs to SNS and leads to an issuer that is trusted.
  // errc::forbidden: it is not such a one. errc::unavailable: SNS cannot be asked now.
  virtual task<result<certificate>> signing_certificate(sns_url at, seconds_clock now) = 0;

  // Confirms a subscription by a GET. errc::unavailable, errc::forbidden (SNS does not agree).
  virtual task<result<void>> confirm(sns_url at) = 0;
};

// Over verified HTTPS by `http`, which must outlive it and trusts the same. A certificate is kept by its URL until it
// expires, sixteen at most, the oldest going first. SNS serves its certificates without their issuer's: that is fetched
// where the certificate says, if that is at Amazon Trust Services.
std::unique_ptr<sns> make_sns(http_client& http, trusted_issuers trusted);

} // namespace postern
