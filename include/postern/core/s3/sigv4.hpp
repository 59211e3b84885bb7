// AWS Signature Version 4: the stages of a signature for requests, for presigned URLs and for POST policies, each a
// pure function, so that a test can say which stage is wrong. Time and credentials are parameters. Follows AWS,
// "Signature Version 4 signing process" and, for forms, "Authenticating requests: browser-based uploads using POST".
#pragma once

#include <postern/base/digest.hpp>
#include <postern/base/error.hpp>
#include <postern/base/log.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::sigv4 {

struct credentials {
  std::string access_key;
  secret secret_key;
  std::string session_token; // empty for long-lived keys; not secret: each request carries it
};

// The scope of a signature: date, region and service. `date` is the time of signing in amz_date's form.
struct scope {
  std::string date;    // 20261123T181500Z
  std::string region;  // eu-west-1
  std::string service; // s3, sts

  std::string day() const { return date.substr(0, 8); }
  std::string text() const; // 20261123/eu-west-1/s3/aws4_request
};

// <access key>/20261123/eu-west-1/s3/aws4_request, as in x-amz-credential and X-Amz-Credential.
std::string credential(std::string_view access_key, const scope& s);

struct parsed_credential {
  std::string access_key, day, region, service;
};
// Parses that form; errc::invalid_argument says what is wrong. An access key may contain slashes.
result<parsed_credential> parse_credential(std::string_view text);

using name_value = std::pair<std::string, std::string>;

// A request to sign. `query` names and values are not yet percent-encoded.
struct request {
  std::string method;
  std::string path = "/"; // S3: not yet percent-encoded; with normalize_path: as on the wire
  std::vector<name_value> query;
  std::vector<name_value> headers; // the headers to sign; host must be among them
  std::string payload_hash;        // hex SHA-256, "UNSIGNED-PAYLOAD", "STREAMING-…"
  bool normalize_path = false;     // for services other than S3: resolves . and .. and //, and percent-encodes the
                                   // encoded path again
};

std::string canonical_request(const request& r);
std::string signed_headers(const request& r); // host;x-amz-date
std::string string_to_sign(const scope& s, std::string_view canonical_request);
sha256_bytes signing_key(const secret& secret_key, std::string_view day, std::string_view region,
                         std::string_view service);
std::string signature(const sha256_bytes& signing_key, std::string_view string_to_sign); // lower-case hex

// The value of the Authorization header for r, whose headers already include x-amz-date (and x-amz-security-token).
std::string authorization(const request& r, const credentials& c, const scope& s);

// Adds X-Amz-Algorithm, -Credential, -Date, -Expires, -SignedHeaders, -Security-Token to r's query and returns the
// whole query string, X-Amz-Signature last. `expires` in seconds, at most 604800. payload_hash stays as the caller set
// it (UNSIGNED-PAYLOAD for S3).
std::string presigned_query(request r, const credentials& c, const scope& s, unsigned expires);

// x-amz-signature of a form: the signature over the policy's base64 text.
std::string policy_signature(const sha256_bytes& signing_key, std::string_view policy_base64);

} // namespace postern::sigv4
