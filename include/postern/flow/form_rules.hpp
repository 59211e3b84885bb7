// The rules of a form besides its policy and signature: which upload it belongs to, which metadata the object gets, and
// how the form wants to be answered. Pure functions, used by flow/read_form.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/upload_plan.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

// What a form asks for.
struct form_details {
  upload_plan plan;             // without the policy's limits and the checksums
  std::optional<claim> claimed; // the claim in the redirect of a form that Postern signed
  std::string redirect;         // a usable success_action_redirect; empty: none
  int status = 204;             // success_action_status: 200, 201 or 204
};

// The metadata of the object that these fields of a form describe. `id`: of the upload, unless the fields name one.
object_meta meta_of(const std::vector<form_field>& fields, const std::string& id);

// Reads the fields, in which ${filename} is replaced already. An upload that names neither a claim nor an id of
// Postern's gets an id now. Ignores what cannot be used, as S3 does.
form_details details_of(const std::vector<form_field>& fields, const std::string& bucket, const signer& own,
                        millis_clock now);

// Checks the fields after ${filename} was replaced in them: their sizes, as S3 limits them, and that S3 could take
// them. errc::fields_too_large; errc::invalid_argument: user metadata over 2 KB, a zero byte, a redirect of the website
// that is none, a field x-amz-… that would have no effect.
result<void> check_fields(const std::vector<form_field>& fields);

// success_action_redirect with bucket, key and etag appended in AWS's order, the ETag in %22.
std::string with_result(std::string_view redirect, std::string_view bucket, std::string_view key,
                        std::string_view etag);

// Where the user of a failed upload is sent: the claim's return_to with id, state=failed and code; empty when it has
// none.
std::string failed_return(const claim& c, const failure& why);

} // namespace postern
