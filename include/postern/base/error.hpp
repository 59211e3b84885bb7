// Every expected failure in the program is a `failure`: one of these codes, and a text that says what failed.
// One table (error.cpp) gives each code its HTTP status, its name for JSON clients, its name for S3 clients and a
// sentence that a client may read. Plain values, used by any thread.
#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace postern {

enum class errc {
  // The request as such
  bad_request = 1,    // the request cannot be parsed: not JSON, a wrong type, a missing member
  not_found,          // no such resource, or this caller must not know of it
  method_not_allowed, // the path exists, but not with this method
  payload_too_large,  // a JSON body over its limit, or a declared size over the profile's
  unsupported_type,   // a media type that the endpoint or the profile does not accept
  header_too_large,   // request line and headers over their limit
  length_required,    // a body without a length where one is needed
  timed_out,          // the peer was silent for too long
  too_many_requests,  // a rate limit
  quota_exceeded,     // a quota has no room now
  unauthorized,       // no or wrong credentials for signing
  forbidden,          // the caller lacks the right; or the claim is forged, altered or expired
  conflict,           // the object is not what the claim describes
  unavailable,        // the store or the ledger gives no answer, or the server is full or draining
  internal,           // a bug

  // The form, in S3's terms
  malformed_form,     // not multipart/form-data (RFC 7578)
  incomplete_body,    // the body ended before the form did
  fields_too_large,   // more than the allowed bytes ahead of the file
  duplicate_field,    // a field twice
  missing_key,        // no key field
  missing_file,       // no file part
  missing_signature,  // policy or signature fields absent
  invalid_argument,   // a field that cannot be read (date, credential, status, key)
  key_too_long,       // an object key over 1024 bytes, or one that the store cannot hold
  invalid_policy,     // the policy is not a policy document
  policy_expired,     // the policy's expiration has passed
  policy_mismatch,    // a condition is not met, or a field is not covered
  signature_mismatch, // the signature is not that of the policy
  unknown_access_key, // signed with a key that this server does not know
  entity_too_large,   // file over the policy's range
  entity_too_small,   // file under the policy's range
  bad_digest,         // the data does not have the checksum that was sent with it
  type_mismatch,      // the file's first bytes are not of the type that it declares
  no_such_bucket,     // the form's bucket is not served here

  // The store, the ledger and the peer
  store_failed,  // the store refused the request or broke
  ledger_failed, // the ledger refused the call or broke
  object_absent, // the store has no such object
  cancelled,     // this process ended the operation, for example at shutdown
  disconnected,  // the peer closed the connection, so no response can be sent
};

struct errc_text {
  errc code;
  int status;                // of the HTTP response
  std::string_view name;     // "code" in problem+json
  std::string_view s3_name;  // <Code> in S3's XML
  std::string_view sentence; // for the client
};

// The row of the table for this code. Never fails.
const errc_text& text_of(errc code);

// Can a retry of the same request succeed?
bool retryable(errc code);

// A failure as a value. `on` says what failed, as a text for a client ("field \"key\"", "the policy's expiration"). It
// must hold no secret. The constructor is there because GCC 12 destroys a temporary aggregate in a co_await expression
// twice.
struct failure {
  failure() = default; // Boost.System constructs one even for a success
  failure(errc c, std::string what) : code(c), on(std::move(what)) {}
  errc code = errc::internal;
  std::string on;
};

// "<sentence> (<on>)", for people.
std::string describe(const failure& f);

[[noreturn]] void throw_exception_from_error(const failure& f, const boost::source_location& where);

template <class T> using result = boost::system::result<T, failure>;

// Text from outside in the form in which it may stand in a log line or a response: in quotes, with control characters
// and bytes that are not UTF-8 escaped, and cut after `max` bytes with "…".
std::string quote(std::string_view text, std::size_t max = 80);

} // namespace postern
