// The claim: the signed, expiring token that names one upload on its way back from S3. It travels as the last path
// segment of success_action_redirect, so it is base64url text: payload "." HMAC-SHA256. Everything a completion needs
// is inside, because the node that receives it may never have seen the upload. It can be read by anyone and altered by
// no one.
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
  std::string key;       // exact; never a prefix
  length_range length;   // what the policy allowed
  std::string return_to; // empty: a page or JSON is answered
  std::string origin;    // of the page that asked, for postMessage; empty when unknown
  seconds_clock expires;
  bool operator==(const claim&) const = default;
};

// The JSON text inside a token, and what it says. Only a text whose signature was verified is a claim:
// signer::read_claim does both. errc::forbidden when a member is missing or impossible.
std::string claim_payload(const claim& c);
result<claim> read_claim_payload(std::string_view json);

// The server's secrets, made ready: each use has a key of its own derived from them (HMAC of the use's name), so that a
// signature made for one use is worthless for another. The first signs, all verify. Immutable; share freely between
// threads.
class signer {
public:
  // At least one secret of at least 16 bytes, else std::invalid_argument.
  explicit signer(const std::vector<secret>& secrets);

  std::string sign_claim(const claim& c) const;
  // errc::forbidden, "the claim's signature" / "the claim's age" / "the claim's form"; at most 8 KiB of token are
  // looked at.
  result<claim> read_claim(std::string_view token, seconds_clock now) const;

  // Postern's own signature of a form's policy: x-ignore-postern, lower-case hex over the base64 text.
  std::string sign_policy(std::string_view policy_base64) const;
  bool verify_policy(std::string_view policy_base64, std::string_view signature) const;

  // A secret derived for a further use, e.g. the file store's own access key. Stable for the same first secret.
  secret derive(std::string_view use) const;

private:
  struct keys {
    hmac_key claims, policies;
  };
  std::vector<keys> keys_;
  secret first_;
};

} // namespace postern
