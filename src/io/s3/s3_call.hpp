// Private to io/s3: one request of s3_client before it is signed. s3_operations.cpp makes it, s3_client.cpp sends it,
// and s3_retry.cpp decides whether it is sent again.
#pragma once

#include <postern/base/digest.hpp>
#include <postern/io/s3/s3_client.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";
constexpr std::string_view trailer_payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
constexpr std::size_t max_error = 64 << 10; // bytes of the document of an error
constexpr std::size_t max_answer = 4 << 20; // a list of 10 000 parts has about 3 MB

// The path as it is signed: not percent-encoded, and with the bucket in it for path style only.
inline std::string signed_path(const bucket_location& place, const std::string& bucket, const std::string& key) {
  return (place.path.size() > 1 ? "/" + bucket + "/" : "/") + key;
}

struct s3_client::call {
  call(const char* o, const char* m, std::string b, std::string k, std::vector<sigv4::name_value> q = {})
      : operation(o), method(m), bucket(std::move(b)), key(std::move(k)), query(std::move(q)) {}
  std::string operation; // S3's name for it: "PutObject"
  std::string method;
  std::string bucket, key;
  std::vector<sigv4::name_value> query, headers;
  std::string_view body;
  std::string payload_hash{unsigned_payload};
  std::size_t max = max_answer; // bytes of the answer
  operation_deadline by;
  bool can_fail_late = false;        // S3 may answer 200 and blanks while it still works, and then an error
  bool waits_for_work = false;       // the store may be silent until the deadline, because it copies bytes
  bool* may_be_done_twice = nullptr; // becomes true when a try that may have been carried out is repeated

  static call for_part(const s3_multipart_upload& upload, int number) {
    return {"UploadPart",
            "PUT",
            upload.name.bucket,
            upload.name.key,
            {{"partNumber", std::to_string(number)}, {"uploadId", upload.upload_id}}};
  }

  // An XML document as the body, whose hash is signed.
  void set_document(std::string_view document) {
    body = document;
    payload_hash = sha256_hex(document);
    headers.emplace_back("Content-Type", "application/xml");
  }

  // The body is streamed, with its checksum in a trailer. AWS removes aws-chunked from the object's Content-Encoding.
  void set_trailer(std::uint64_t size) {
    payload_hash = trailer_payload;
    const auto own =
        std::find_if(headers.begin(), headers.end(), [](const auto& h) { return h.first == "content-encoding"; });
    if (own != headers.end())
      own->second = "aws-chunked," + own->second;
    else
      headers.emplace_back("Content-Encoding", "aws-chunked");
    headers.emplace_back("x-amz-decoded-content-length", std::to_string(size));
    headers.emplace_back("x-amz-trailer", aws_checksum_trailer);
  }

  // For error messages: "PutObject media/\"key\"".
  std::string to_text() const { return operation + " " + bucket + (key.empty() ? "" : "/" + quote(key)); }
};

// What the attempts of one call have learnt so far.
struct s3_client::attempts {
  explicit attempts(clock_point d) : deadline(d) {}
  const clock_point deadline;
  unsigned failed = 0, redirected = 0;
  bool has_changed_region = false, has_set_clock = false, has_renewed = false; // each happens once
  bool has_temporary_keys = false;
  std::optional<http_address> redirected_to; // for this call only
  std::string access_key, region;            // with which the last one was signed
};

} // namespace postern
