// A new resumable upload, admitted as a signing is: the same for each protocol.
#pragma once

#include <postern/core/sign_request.hpp>
#include <postern/flow/resume/resumable_uploads.hpp>
#include <postern/front/http_message.hpp>
#include <postern/front/signing_gate.hpp>

namespace postern::front {

// The profile is the query's `profile`. Fails as signing_gate::admit_to_sign and resumable_uploads::create;
// errc::forbidden: the caller may not use the profile. The references must outlive the call.
task<result<resumable_view>> create_file(const signing_gate& gate, resumable_uploads& uploads, const request& r,
                                         sign_request ask);

} // namespace postern::front
