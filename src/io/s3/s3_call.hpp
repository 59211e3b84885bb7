// Private to io/s3: one request of s3_client before it is signed. s3_operations.cpp makes it, s3_client.cpp sends it.
#pragma once

#include <postern/base/digest.hpp>
#include <postern/io/s3/s3_client.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace postern {

constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";
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

  // For error messages: "PutObject media/\"key\"".
  std::string to_text() const { return operation + " " + bucket + (key.empty() ? "" : "/" + quote(key)); }
};

} // namespace postern
