// The pieces of an S3 request: the bucket's host and path, an object's header fields, checksums as text, and the
// framing of a body with a trailing checksum. Pure.
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
  std::string name = "default"; // of the store, in metrics
  std::string endpoint;         // URL; empty: AWS's for the region
  std::string public_endpoint;  // the endpoint's URL for browsers, where it differs
  std::string region = "us-east-1";
  bool path_style = false;                    // http://host/bucket/key instead of http://bucket.host/key
  bool sends_checksums = true;                // x-amz-checksum-*, where the store verifies them
  std::chrono::milliseconds timeout{30'000};  // of each wait for the server
  std::chrono::milliseconds deadline{45'000}; // of one operation, over all its tries and pauses
  unsigned max_tries = 4;
  // A larger object is copied in parts (Amazon S3 User Guide, "Copying objects": CopyObject takes 5 GiB). Parts have at
  // least 5 MiB, except the last.
  std::uint64_t max_whole_copy = std::uint64_t{5} << 30, copy_part_size = std::uint64_t{1} << 30;
};

// Where requests for a bucket go, and the region that their signatures name.
struct bucket_location {
  http_address at;
  std::string path; // "/" or "/bucket/"
  std::string region;
};
// errc::invalid_argument: the endpoint is no URL, or has a path. errc::no_such_bucket: no bucket can have this name.
// Uses path style also without the option: for names that cannot stand in the host (see fits_host_name), and for IP
// addresses, which cannot have a subdomain.
result<bucket_location> locate_bucket(const s3_options& o, const std::string& region, std::string_view bucket);

// The object's metadata as header fields of a request. errc::invalid_argument: a value has control characters, a name
// has characters that are not allowed, or the tags are not S3's XML.
result<std::vector<sigv4::name_value>> object_headers(const object_meta& meta);

// The reverse for one value of user metadata: decodes RFC 2047.
std::string decode_metadata(std::string_view text);

// "?a=b&c=", percent-encoded; empty for an empty query.
std::string to_query_string(const std::vector<sigv4::name_value>& query);

// aws-chunked (AWS, "Signature calculations: including trailing headers"):
//   <hex>\r\n<data>\r\n … 0\r\nx-amz-checksum-crc32c:<base64>\r\n\r\n
constexpr std::uint64_t aws_chunk_size = 1 << 20;
constexpr std::string_view aws_checksum_trailer = "x-amz-checksum-crc32c";
std::string aws_chunk_head(std::uint64_t bytes);
std::string aws_chunked_end(std::uint32_t crc32c);
// Bytes on the wire for a body of `size` bytes, framing included.
std::uint64_t aws_chunked_length(std::uint64_t size);

} // namespace postern
