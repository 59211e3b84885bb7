// What a submitted form says beyond its policy: who signed it, which upload it is, what is to be kept beside the
// object, how it wants to be answered. Pure functions that flow/ingest is made of.
#pragma once

#include <postern/base/digest.hpp>
#include <postern/base/error.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/s3/sigv4.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/store.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct form_facts {
  upload row;               // id, bucket, key, and what the claim knows
  std::optional<claim> its; // where the form carries one of ours
  object_meta meta;
  length_range length;
  std::string redirect; // a usable success_action_redirect, or empty
  int status = 204;
};

// Fields are expanded already. An upload without a claim or an id of ours gets an id now. Never fails: what cannot be
// used is ignored, as S3 does.
form_facts facts_of(const std::vector<form_field>& fields, const std::string& bucket, const signer& own,
                    millis_clock now);

// Is the form's x-amz-signature that of its policy, by this key? errc::missing_signature, errc::invalid_argument
// (algorithm, credential, date, region), errc::unknown_access_key, errc::signature_mismatch. Follows AWS, "Calculating
// a signature" for POST.
result<void> verify_aws_signature(const std::vector<form_field>& fields, std::string_view policy,
                                  const sigv4::credentials& known, std::string_view region);

// Is what ${filename} was replaced in still of a size that S3 takes? errc::fields_too_large, errc::invalid_argument
// (user metadata over 2 KB).
result<void> bounded(const std::vector<form_field>& fields);

// Is this bucket among those served? "*" among them is any.
bool is_served(const std::vector<std::string>& buckets, std::string_view bucket);

// success_action_redirect with bucket, key and etag appended in AWS's order, the ETag in %22.
std::string with_result(std::string_view redirect, std::string_view bucket, std::string_view key,
                        std::string_view etag);

// Where the user of a failed upload is sent: the claim's return_to with id, state=failed and code; empty when it has
// none.
std::string failed_return(const claim& c, const failure& why);

// `url` with one more parameter, percent-encoded.
std::string with_parameter(std::string url, std::string_view name, std::string_view value);

} // namespace postern
