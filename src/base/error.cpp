#include <postern/base/error.hpp>
#include <postern/base/text.hpp>

#include <array>
#include <cstdint>
#include <stdexcept>

namespace postern {
namespace {

constexpr std::array table{
    errc_text{errc::bad_request, 400, "bad_request", "InvalidRequest", "The request is not valid."},
    errc_text{errc::not_found, 404, "not_found", "NoSuchKey", "No such resource."},
    errc_text{errc::method_not_allowed, 405, "method_not_allowed", "MethodNotAllowed",
              "This path does not support the method."},
    errc_text{errc::payload_too_large, 413, "payload_too_large", "EntityTooLarge",
              "The request or the file is larger than allowed."},
    errc_text{errc::unsupported_type, 415, "unsupported_type", "InvalidArgument", "This content type is not accepted."},
    errc_text{errc::header_too_large, 431, "header_too_large", "RequestHeaderSectionTooLarge",
              "The request line and headers are too large."},
    errc_text{errc::length_required, 411, "length_required", "MissingContentLength",
              "The request needs a Content-Length."},
    errc_text{errc::timed_out, 408, "timed_out", "RequestTimeout",
              "The request did not arrive in time; send it again."},
    errc_text{errc::too_many_requests, 429, "too_many_requests", "SlowDown", "Too many requests; retry later."},
    errc_text{errc::quota_exceeded, 429, "quota_exceeded", "SlowDown", "The quota has no room for this upload now."},
    errc_text{errc::unauthorized, 401, "unauthorized", "AccessDenied", "Authentication is required."},
    errc_text{errc::forbidden, 403, "forbidden", "AccessDenied", "This request is not allowed."},
    errc_text{errc::conflict, 409, "conflict", "OperationAborted",
              "The request conflicts with the state of the upload."},
    errc_text{errc::unavailable, 503, "unavailable", "ServiceUnavailable",
              "The service is unavailable at the moment; retry."},
    errc_text{errc::internal, 500, "internal", "InternalError", "Internal error."},
    errc_text{errc::malformed_form, 400, "malformed_form", "MalformedPOSTRequest",
              "The body is not a well-formed multipart/form-data form."},
    errc_text{errc::incomplete_body, 400, "incomplete_body", "IncompleteBody", "The body ended before the form did."},
    errc_text{errc::fields_too_large, 400, "fields_too_large", "MaxPostPreDataLengthExceeded",
              "The form has too much data before its file."},
    errc_text{errc::duplicate_field, 400, "duplicate_field", "InvalidArgument", "A form field may occur only once."},
    errc_text{errc::missing_key, 400, "missing_key", "InvalidArgument",
              "The form needs a field named key before the file."},
    errc_text{errc::missing_file, 400, "missing_file", "IncorrectNumberOfFilesInPostRequest",
              "The form needs one file, in a last field named file."},
    errc_text{errc::missing_signature, 400, "missing_signature", "InvalidArgument",
              "The form has a policy, but its signature fields are incomplete."},
    errc_text{errc::invalid_argument, 400, "invalid_argument", "InvalidArgument", "A value is not valid."},
    errc_text{errc::key_too_long, 400, "key_too_long", "KeyTooLongError", "The key is too long."},
    errc_text{errc::invalid_policy, 400, "invalid_policy", "InvalidPolicyDocument",
              "The policy is not a valid policy document."},
    errc_text{errc::policy_expired, 403, "policy_expired", "AccessDenied",
              "Invalid according to Policy: Policy expired. Ask for a new form."},
    errc_text{errc::policy_mismatch, 403, "policy_mismatch", "AccessDenied",
              "Invalid according to Policy: the form is not the one that was signed."},
    errc_text{errc::signature_mismatch, 403, "signature_mismatch", "SignatureDoesNotMatch",
              "The signature does not match the policy."},
    errc_text{errc::unknown_access_key, 403, "unknown_access_key", "InvalidAccessKeyId", "The access key is unknown."},
    errc_text{errc::entity_too_large, 400, "entity_too_large", "EntityTooLarge",
              "The file is larger than the policy allows."},
    errc_text{errc::entity_too_small, 400, "entity_too_small", "EntityTooSmall",
              "The file is smaller than the policy allows."},
    errc_text{errc::bad_digest, 400, "bad_digest", "BadDigest", "The data does not match its checksum."},
    errc_text{errc::type_mismatch, 415, "type_mismatch", "InvalidArgument",
              "The file is not of the type that it declares."},
    errc_text{errc::no_such_bucket, 404, "no_such_bucket", "NoSuchBucket", "This server does not serve the bucket."},
    errc_text{errc::store_failed, 503, "store_failed", "ServiceUnavailable",
              "The object store is unavailable at the moment; retry."},
    errc_text{errc::ledger_failed, 503, "ledger_failed", "ServiceUnavailable",
              "The upload cannot be recorded at the moment; retry."},
    errc_text{errc::object_absent, 404, "object_absent", "NoSuchKey", "The object is not in the store."},
    errc_text{errc::cancelled, 503, "cancelled", "ServiceUnavailable", "The server is shutting down; retry."},
    errc_text{errc::disconnected, 400, "disconnected", "IncompleteBody", "The connection was closed early."},
};

// Each row's index is its code, so that a lookup needs no search.
constexpr bool in_order() {
  for (std::size_t i = 0; i < table.size(); ++i)
    if (static_cast<std::size_t>(table[i].code) != i + 1) return false;
  return true;
}
static_assert(in_order() && static_cast<std::size_t>(errc::disconnected) == table.size());

} // namespace

const errc_text& text_of(errc code) { return table[static_cast<std::size_t>(code) - 1]; }

bool retryable(errc code) {
  const int status = text_of(code).status;
  return status == 408 || status == 429 || status >= 500;
}

std::string describe(const failure& f) {
  std::string text(text_of(f.code).sentence);
  if (!f.on.empty()) text.append(" (").append(f.on).append(")");
  return text;
}

void throw_exception_from_error(const failure& f, const boost::source_location&) {
  throw std::runtime_error(describe(f));
}

std::string quote(std::string_view text, std::size_t max) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    if (out.size() > max) return out + "…\"";
    const auto n = utf8_sequence(text);
    const auto c = static_cast<unsigned char>(text.front());
    if (n == 0 || c < 0x20 || c == 0x7f) {
      out.append("\\x").append(1, digits[c >> 4]).append(1, digits[c & 15]);
      text.remove_prefix(1);
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out.append(text.substr(0, n));
      text.remove_prefix(n);
    }
  }
  return out + '"';
}

} // namespace postern
