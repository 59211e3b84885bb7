// The errors of S3 and STS as values: an error answer is read from its XML and mapped to our codes here, and nowhere
// else. Pure.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/io/net/http_client.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace postern {

// <Error><Code>…</Code><Message>…</Message>…</Error>, alone or inside the <ErrorResponse> of STS. All strings but
// `operation` come from outside: quote them before they are logged.
struct aws_error {
  int status = 0;                      // of the answer; 0: there was no answer, and `message` says why
  std::string code;                    // "AccessDenied"; empty when the answer had no XML, or a part of it
  std::string message;                 // for people
  std::string region;                  // of the bucket, when S3 names it; empty or a region name
  std::string operation;               // "PutObject media/\"key\""
  std::optional<seconds_clock> date{}; // the time of the server
  errc category = errc::store_failed;
  // With SignatureDoesNotMatch some stores send the text that they signed and the signature that they received. From
  // these, postern doctor tells a wrong secret from a request that was changed on its way.
  std::string canonical_request, string_to_sign, signature;
};

// The error in an answer of any status. S3 can answer 200 and then an error in the body, because it answers before it
// has finished (CompleteMultipartUpload).
aws_error read_aws_error(const http_response& answer, std::string operation);
// An answer that does not follow the API. `what` says in which way, for people.
aws_error unexpected_answer(const http_response& answer, std::string operation, std::string_view what);
// The operation failed without an answer: no credentials, no connection, a timeout.
aws_error error_without_answer(const failure& why, std::string operation);

// Can the same request succeed later: a server error, throttling, a broken connection?
bool is_transient(const aws_error& e);

// May the request have been carried out, although its answer does not say so: none, or one of a server or proxy that
// failed?
bool may_be_carried_out(const aws_error& e);

// What the operator must do about a refusal that no retry and no client can change: wrong keys, a missing bucket or
// permission. Empty for any other error.
std::string_view remedy_of(const aws_error& e);

// "PutObject media/\"key\": 403 AccessDenied \"…\"". For logs: it can name what a client may not know.
failure to_failure(const aws_error& e);
[[noreturn]] void throw_exception_from_error(const aws_error& e, const boost::source_location& where);
template <class T> using aws_result = boost::system::result<T, aws_error>;

} // namespace postern
