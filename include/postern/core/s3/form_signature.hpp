// The signature of a form that a browser posts: was it made with our key? Pure; follows AWS, "Calculating a signature"
// for POST.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/s3/sigv4.hpp>

#include <string_view>
#include <vector>

namespace postern {

// Is the form's x-amz-signature that of `policy`, its base64 text, by the key `known` in `region`?
// errc::missing_signature, errc::invalid_argument (algorithm, credential, date, region), errc::unknown_access_key,
// errc::signature_mismatch.
result<void> verify_form_signature(const std::vector<form_field>& fields, std::string_view policy,
                                   const sigv4::credentials& known, std::string_view region);

} // namespace postern
