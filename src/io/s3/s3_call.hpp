// One request of s3_client before it is signed: s3_operations.cpp makes it, s3_client.cpp sends it.
#pragma once

#include <postern/base/digest.hpp>
#include <postern/io/s3/s3_client.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace postern {

constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD";

// The path as it is signed: not percent-encoded, and with the bucket in it for path style only.
inline std::string signed_path(const bucket_place& place, const std::string& bucket, const std::string& key) {
  return (place.path.size() > 1 ? "/" + bucket + "/" : "/") + key;
}

constexpr std::size_t max_answer = 4 << 20; // 10 000 parts are listed in some 3 MB

struct s3_client::call {
  call(const char* o, const char* m, std::string b, std::string k, std::vector<sigv4::name_value> q = {})
      : operation(o), method(m), bucket(std::move(b)), key(std::move(k)), query(std::move(q)) {}
  std::string operation; // S3's name of it
  std::string method;
  std::string bucket, key;
  std::vector<sigv4::name_value> query, headers;
  std::string_view body;
  std::string payload_hash{unsigned_payload};
  std::size_t max = max_answer; // bytes of the answer

  // A document, whose hash is signed.
  void carry(std::string_view document) {
    body = document;
    payload_hash = sha256_hex(document);
    headers.emplace_back("Content-Type", "application/xml");
  }

  std::string during() const { return operation + " " + bucket + (key.empty() ? "" : "/" + quote(key)); }
};

} // namespace postern
