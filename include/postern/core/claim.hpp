// The claim: the signed, expiring token that names one upload on its way back from S3. It travels as the last path
// segment of success_action_redirect, so it is base64url text: payload "." HMAC-SHA256. Everything a completion needs
// is inside, because the node that receives the claim may never have seen the upload. Anyone can read a claim; nobody
// can alter it unnoticed.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/digest.hpp>
#include <postern/base/error.hpp>
#include <postern/base/log.hpp>
#include <postern/core/s3/policy.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct claim {
  std::string id; // of the upload
  std::string profile;
  std::string user; // empty when anonymous
  std::string bucket;
  std::string key;       // exact, or ending in ${filename} when the file name was unknown
  length_range length;   // what the policy allowed
  std::string return_to; // empty: the response is a page or JSON
  std::string origin;    // of the page that asked, for postMessage; empty when unknown
  seconds_clock expires;
  std::string content_type = {}; // that was signed; empty: unknown, in claims of earlier versions
  bool operator==(const claim&) const = default;
};

// The JSON text inside a token, and the claim in such a text. Use signer::read_claim, which verifies the signature
// first. errc::forbidden when a member is missing or impossible.
std::string claim_payload(const claim& c);
result<claim> read_claim_payload(std::string_view text);

// The signer: signs and verifies with the server's secrets. Each use has a key of its own, derived by an HMAC of the
// use's name, so that a signature made for one use is worthless for another. The first secret signs, all verify.
// Immutable; threads may share it.
class signer {
public:
  static constexpr std::size_t max_token = 8192; // bytes of a claim's token that read_claim accepts

  // Throws std::invalid_argument without at least one secret of at least 16 bytes.
  explicit signer(const std::vector<secret>& secrets);

  std::string sign_claim(const claim& c) const;
  // errc::forbidden, "the claim's signature is wrong" / "the claim has expired" / "the claim cannot be read"; a token
  // over 8 KiB is refused.
  result<claim> read_claim(std::string_view token, seconds_clock now) const;

  // The upload token: by it a client sends the parts of this upload, and nothing else. A claim is no upload token. It
  // never stands in a URL that the store or the application sees: `Authorization: Upload TOKEN`.
  std::string sign_upload_token(std::string_view id, seconds_clock expires) const;
  // The upload's id. errc::unauthorized: the token is forged, altered or expired.
  result<std::string> read_upload_token(std::string_view token, seconds_clock now) const;

  // Postern's own signature of a form's policy: x-ignore-postern, lower-case hex over the base64 text.
  std::string sign_policy(std::string_view policy_base64) const;
  bool verify_policy(std::string_view policy_base64, std::string_view signature) const;

  // A secret derived for a further use, such as the file store's own access key. The same first secret always gives the
  // same result.
  secret derive(std::string_view use) const;

  // One for each secret, in their order: 8 hex digits, by which nodes compare their secrets. A fingerprint does not
  // tell the secret.
  std::vector<std::string> fingerprints() const;

private:
  struct keys {
    hmac_key claims, policies, uploads;
    std::string fingerprint;
  };
  std::vector<keys> keys_;
  secret first_;
};

} // namespace postern
