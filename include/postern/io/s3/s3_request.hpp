// What S3 wants in a request: where a bucket is, an object's header fields, ETags and checksums as text, and the
// framing of a body whose checksum comes behind it. Pure.
#pragma once

#include <postern/core/http/url.hpp>
#include <postern/core/s3/sigv4.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct s3_options {
  std::string endpoint;        // URL; empty: AWS's of the region
  std::string public_endpoint; // what browsers call it, where that differs
  std::string region = "us-east-1";
  bool path_style = false;                    // http://host/bucket/key instead of http://bucket.host/key
  std::chrono::milliseconds patience{30'000}; // for any one wait
  unsigned tries = 4;
};

// Where a bucket is, and which region its signatures name.
struct bucket_place {
  http_address at;
  std::string path; // "/" or "/bucket/"
  std::string region;
};
// errc::invalid_argument when the endpoint is no URL. Path style whatever is said: bucket names with dots over TLS,
// because no certificate covers them, and addresses, because no name can be put ahead of one.
result<bucket_place> place_of(const s3_options& o, const std::string& region, std::string_view bucket);

// Header fields of an object as a request carries them. errc::invalid_argument for values that no header can hold, and
// tags that are not S3's XML.
result<std::vector<sigv4::name_value>> object_headers(const object_meta& meta);

// The other way: a field's value as the object's metadata had it (RFC 2047 taken off).
std::string plain_metadata(std::string_view value);

// The four bytes behind x-amz-checksum-crc32c; nothing when it is not that.
std::optional<std::uint32_t> crc32c_of(std::string_view base64);

// "?a=b&c=", percent-encoded; empty when there is nothing.
std::string query_text(const std::vector<sigv4::name_value>& query);

// aws-chunked (AWS, "Signature calculations: including trailing headers"): <hex>\r\n<data>\r\n …,
// 0\r\nx-amz-checksum-crc32c:<base64>\r\n\r\n
constexpr std::uint64_t aws_chunk = 1 << 20;
constexpr std::string_view aws_trailer = "x-amz-checksum-crc32c";
std::string aws_chunk_head(std::uint64_t bytes);
std::string aws_chunked_end(std::uint32_t crc32c);
std::uint64_t aws_chunked_length(std::uint64_t size);

} // namespace postern
