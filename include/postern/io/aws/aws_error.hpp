// What S3 and STS say when they refuse, read from their XML and sorted into our codes in one place.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/net/http_client.hpp>

#include <string>
#include <string_view>

namespace postern {

// <Error><Code>…</Code><Message>…</Message>…</Error>, alone or inside STS's <ErrorResponse>. Text from outside: quote
// it.
struct aws_error {
  int status = 0;   // 0: no answer came, and `message` says why
  std::string code; // "AccessDenied"; empty when there was no XML
  std::string message;
  std::string region; // where S3 says that the bucket is, if it does
  std::string during; // "PutObject media/key"
  errc sorted = errc::store_failed;
  // Of SignatureDoesNotMatch, where the store says it: what it signed, and the signature that it was given. With them
  // it can be told whether the secret is another one or the text was changed on its way.
  std::string canonical_request, string_to_sign, signature;
};

// The error in an answer; in one of 200 too, where S3 begins to answer before it knows how it ends
// (CompleteMultipartUpload, CopyObject).
aws_error read_aws_error(const http_response& answer, std::string during);
// An answer that S3 would not give: `what` says what is odd about it.
aws_error odd_answer(const http_response& answer, std::string during, std::string_view what);
aws_error no_answer(const failure& why, std::string during);

// May it pass by itself: server errors, throttling, broken connections?
bool is_passing(const aws_error& e);

failure to_failure(const aws_error& e);
[[noreturn]] void throw_exception_from_error(const aws_error& e, const boost::source_location& where);
template <class T> using aws_result = boost::system::result<T, aws_error>;

} // namespace postern
