#include <postern/base/text.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/aws/xml_answer.hpp>

#include <array>
#include <stdexcept>
#include <utility>

namespace postern {
namespace {

// Codes of the Amazon S3 API Reference, "Error responses". A code that is not listed is mapped by its status.
errc category_of(int status, std::string_view code) {
  static constexpr std::array<std::pair<std::string_view, errc>, 18> known{{
      {"NoSuchKey", errc::object_absent},
      {"NoSuchBucket", errc::no_such_bucket},
      {"NoSuchUpload", errc::object_absent},
      {"KeyTooLongError", errc::key_too_long},
      {"EntityTooLarge", errc::entity_too_large},
      {"BadDigest", errc::bad_digest},
      {"XAmzContentChecksumMismatch", errc::bad_digest},
      {"InvalidDigest", errc::bad_digest},
      {"MetadataTooLarge", errc::invalid_argument},
      {"InvalidTag", errc::invalid_argument},
      {"InvalidStorageClass", errc::invalid_argument},
      {"PreconditionFailed", errc::conflict},
      {"ConditionalRequestConflict", errc::unavailable}, // another request changes the object now
      {"SlowDown", errc::unavailable},
      {"ServiceUnavailable", errc::unavailable},
      {"RequestTimeout", errc::unavailable},
      {"InternalError", errc::unavailable},
      {"ExpiredToken", errc::unavailable},
  }};
  for (const auto& [name, category] : known)
    if (name == code) return category;
  if (status == 404) return errc::object_absent;
  if (status == 412) return errc::conflict;
  return status >= 500 || status == 429 || status == 0 ? errc::unavailable : errc::store_failed;
}

} // namespace

aws_error read_aws_error(const http_response& answer, std::string operation) {
  aws_error e;
  e.status = answer.status;
  e.operation = std::move(operation);
  pugi::xml_document document;
  const auto top = read_xml(document, answer.body);
  const auto error = std::string_view(top.name()) == "Error" ? top : top.child("Error");
  e.code = error.child_value("Code");
  e.message = error.child_value("Message");
  // A region becomes part of a host name and of signatures, so a text that cannot be one counts as absent.
  for (const std::string_view region :
       {std::string_view(error.child_value("Region")), answer.field("x-amz-bucket-region")})
    if (e.region.empty() && is_region_name(region)) e.region = region;
  if (const auto date = parse_http_date(answer.field("date"))) e.date = *date;
  e.canonical_request = error.child_value("CanonicalRequest");
  e.string_to_sign = error.child_value("StringToSign");
  e.signature = error.child_value("SignatureProvided");
  e.category = category_of(e.status, e.code);
  return e;
}

aws_error unexpected_answer(const http_response& answer, std::string operation, std::string_view what) {
  auto e = read_aws_error(answer, std::move(operation));
  e.message = what;
  return e;
}

aws_error error_without_answer(const failure& why, std::string operation) {
  aws_error e;
  e.operation = std::move(operation);
  e.message = why.on;
  // Whatever keeps us from an answer can pass, except an answer that is not HTTP or is too large.
  e.category = why.code == errc::cancelled                                            ? errc::cancelled
               : why.code == errc::bad_request || why.code == errc::payload_too_large ? errc::store_failed
                                                                                      : errc::unavailable;
  return e;
}

bool is_transient(const aws_error& e) {
  if (e.status == 501 || e.code == "NotImplemented") return false;
  return e.status >= 500 || e.status == 429 || (e.status == 0 && e.category == errc::unavailable) ||
         e.code == "SlowDown" || e.code == "RequestTimeout" || e.code == "InternalError" ||
         e.code == "OperationAborted" || e.code == "ConditionalRequestConflict";
}

bool may_be_carried_out(const aws_error& e) {
  return e.status == 0 || e.status == 500 || e.status == 502 || e.status == 504;
}

std::string_view remedy_of(const aws_error& e) {
  if (e.code == "SignatureDoesNotMatch")
    return "correct store.credentials.secret_key or store.region; postern doctor finds out which";
  if (e.code == "InvalidAccessKeyId")
    return "correct store.credentials.access_key, or ask the store's owner for a new pair of keys";
  if (e.code == "NoSuchBucket") return "create the bucket, or correct store.bucket";
  if (e.code == "AccessDenied") return "give the keys the permissions that postern setup iam prints";
  // The answer to a HEAD has no body, so it cannot say which.
  if (e.status == 403 && e.code.empty())
    return "the keys are wrong or lack a permission; postern doctor finds out which";
  return {};
}

failure to_failure(const aws_error& e) {
  std::string on = e.operation + ": ";
  if (e.status)
    on += std::to_string(e.status) + (e.code.empty() ? "" : " " + quote(e.code)) +
          (e.message.empty() ? "" : " " + quote(e.message, 300));
  else
    on += e.message;
  return {e.category, std::move(on)};
}

void throw_exception_from_error(const aws_error& e, const boost::source_location&) {
  throw std::runtime_error(describe(to_failure(e)));
}

} // namespace postern
