// What can go wrong, named once. Every expected failure in the program is a `failure`: one of these
// codes and a few words on what it concerned. One table (error.cpp) gives each code its HTTP status, its
// name for JSON clients, its name for S3 clients and a sentence that a client may read.
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
  bad_request = 1,    // not understood: not JSON, a wrong type, a missing member
  not_found,          // no such resource, or not for this caller to know
  method_not_allowed, // the path exists, not with this verb
  payload_too_large,  // a JSON body over its limit, or a declared size over the profile's
  unsupported_type,   // a media type that the endpoint or the profile does not take
  header_too_large,   // request line and headers over their limit
  length_required,    // a body without a length where one is needed
  timed_out,          // the peer was silent for too long
  too_many_requests,  // a rate limit
  unauthorized,       // no or wrong credentials for signing
  forbidden,          // known caller, not allowed; or a claim that is forged, altered or expired
  conflict,           // the object is not what the claim describes
  unavailable,        // a neighbour cannot be asked, or the server is full or draining
  internal,           // a bug

  // The form, in S3's terms
  malformed_form,     // not multipart/form-data as RFC 7578 has it
  incomplete_body,    // the body ended before the form did
  fields_too_large,   // more than the allowed bytes ahead of the file
  duplicate_field,    // a field twice
  missing_key,        // no key field
  missing_file,       // no file part
  missing_signature,  // policy or signature fields absent
  invalid_argument,   // a field that cannot be read (date, credential, status, key)
  key_too_long,       // an object key over 1024 bytes, or one that the store cannot hold
  invalid_policy,     // the policy is not a policy document
  policy_expired,     // its expiration has passed
  policy_mismatch,    // a condition is not met, or a field is not covered
  signature_mismatch, // the signature is not that of the policy
  unknown_access_key, // signed with a key that this server does not know
  entity_too_large,   // file over the policy's range
  entity_too_small,   // file under the policy's range
  bad_digest,         // the data does not have the checksum that was sent with it
  no_such_bucket,     // the form's bucket is not served here

  // Neighbours
  store_failed,  // the store refused or broke
  ledger_failed, // the ledger refused or broke
  object_absent, // the store has no such object
  cancelled,     // this process gave up, e.g. because it is shutting down
  disconnected,  // the peer has gone; nobody is left to be answered
};

struct errc_text {
  errc code;
  int status;                // of the HTTP answer
  std::string_view name;     // "code" in problem+json
  std::string_view s3_name;  // <Code> in S3's XML
  std::string_view sentence; // for the client
};

// The row of the table for this code. Never fails.
const errc_text& text_of(errc code);

// May the same request succeed when it is sent again a little later?
bool retryable(errc code);

// A failure as a value. (It has a constructor because GCC 12 destroys a temporary aggregate in a co_await expression
// twice.) `on` says what it concerned in words for a client ("field \"key\"", "the policy's expiration"); nothing
// secret may stand in it.
struct failure {
  failure() = default; // Boost.System makes one when it is asked for the error of a success
  failure(errc c, std::string what) : code(c), on(std::move(what)) {}
  errc code = errc::internal;
  std::string on;
};

// "<sentence> (<on>)", the way it is shown to people.
std::string describe(const failure& f);

[[noreturn]] void throw_exception_from_error(const failure& f, const boost::source_location& where);

template <class T> using result = boost::system::result<T, failure>;

// Text from outside, as it may be put in a log line or an answer: control characters and everything that is
// not UTF-8 escaped, cut at `most` bytes with "…".
std::string quote(std::string_view text, std::size_t max = 80);

} // namespace postern
