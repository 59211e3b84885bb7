// The POST policy: the document that says which form a browser may post. Builds and parses policies, and validates a
// submitted form as S3 does. Follows AWS, "Creating an HTML form (using AWS Signature Version 4)" and "POST policy",
// and the cases that Ceph RGW is tested for. Pure: time is a parameter.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

// Is this a valid bucket name? Accepts S3's rules (AWS, "General purpose bucket naming rules") and the older, wider
// rules of other stores: letters, digits, dots, hyphens and underscores, so that the name fits into a URL and a Host
// field.
bool is_bucket_name(std::string_view name);

// A field of a form: its name as sent, and its value. File parts are not fields.
struct form_field {
  std::string name;
  std::string value;
};

// The variable that S3 replaces by the name of the posted file.
inline constexpr std::string_view filename_variable = "${filename}";

struct length_range {
  std::uint64_t min = 0;
  std::uint64_t max = 0;
  bool operator==(const length_range&) const = default;
};

// The failures of a file whose size is outside the range: errc::entity_too_large, errc::entity_too_small.
failure file_too_large(const length_range& allowed);
failure file_too_small(const length_range& allowed);

struct policy_condition {
  enum class kind { equal, starts_with };
  kind how = kind::equal;
  std::string field; // without the $, lower case after reading
  std::string value;
  bool operator==(const policy_condition&) const = default;
};

struct policy {
  seconds_clock expires;
  std::vector<policy_condition> conditions;
  std::optional<length_range> length;
};

// The JSON text:
// {"expiration":"…","conditions":[{"bucket":"…"},["starts-with","$key","…"],["content-length-range",0,5]]}.
std::string policy_document(const policy& p);

// Parses the base64 text of a form's policy field. Skips line breaks and blanks, because some SDKs wrap the base64.
// errc::invalid_policy says what is wrong: not base64, not JSON, expiration or conditions missing or mis-cased, a
// condition of unknown shape, a content-length-range with missing or negative ends (numbers may come as strings), a
// member twice, more than 100 conditions.
result<policy> read_policy(std::string_view base64);

// Validates a submitted form. `fields` in the order sent, `filename` replaces ${filename} in every value first (already
// reduced to its last path part by the caller; see expand_filename). `bucket` is the bucket it was posted to.
//  - expired: errc::policy_expired
//  - a field without a condition (except x-amz-signature, file, policy, x-ignore-*, AWSAccessKeyId, signature), a
//    condition without a field, a value that does not match: errc::policy_mismatch, naming field and condition
//  - no condition for the bucket: errc::policy_mismatch
//  - a condition on algorithm, credential or date that is not an exact match: errc::policy_mismatch
//  - a field twice (names case-insensitive): errc::duplicate_field
// A starts-with on content-type is met when each comma-separated item meets it. Returns the length range; without
// one in the policy, 0 to 5 GiB.
result<length_range> judge(const policy& p, const std::vector<form_field>& fields, std::string_view bucket,
                           seconds_clock now);

// Replaces ${filename} in every value by `filename`, reduced to what follows the last / or \.
void expand_filename(std::vector<form_field>& fields, std::string_view filename);

// The value of the field of that name, case-insensitive; nullptr if absent.
const std::string* find_field(const std::vector<form_field>& fields, std::string_view name);

// The largest object that a POST may make (AWS: 5 GiB).
constexpr std::uint64_t max_post_size = 5ull << 30;
// The largest object at all (AWS: 5 TiB), which the fallback can make by a multipart upload.
constexpr std::uint64_t max_object_size = 5ull << 40;

} // namespace postern
