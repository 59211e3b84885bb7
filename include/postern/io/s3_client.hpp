// S3 as functions: each makes one request, signs it (AWS Signature Version 4), sends it, tries again where that may help, and sorts the answer. Follows the Amazon S3 API
// Reference, and what Ceph RGW and MinIO do differently. Shared by all threads; a call lives on the thread that made it.
//
// Tried again, with growing pauses and jitter: broken connections, 5xx, SlowDown, RequestTimeout. Once each: a region or host that S3 names, the server's clock when
// ours is off (RequestTimeTooSkewed), other credentials when these have ended (ExpiredToken).
#pragma once

#include <postern/io/credentials.hpp>
#include <postern/io/http_client.hpp>
#include <postern/io/s3_error.hpp>
#include <postern/io/store.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct s3_options {
  std::string endpoint;    // URL; empty: AWS's of the region
  std::string region = "us-east-1";
  bool path_style = false; // http://host/bucket/key instead of http://bucket.host/key
  std::chrono::milliseconds patience{30'000}; // for any one wait
  unsigned tries = 4;
};

// Where a bucket is, and which region its signatures name.
struct bucket_place {
  http_address at;
  std::string path; // "/" or "/bucket/"
  std::string region;
};
// errc::invalid_argument when the endpoint is no URL. Bucket names with dots are path style over TLS, because no certificate covers them.
result<bucket_place> place_of(const s3_options& o, const std::string& region, std::string_view bucket);

// Header fields of an object as a request carries them. errc::invalid_argument for values that no header can hold, and tags that are not S3's XML.
result<std::vector<sigv4::name_value>> object_headers(const object_meta& meta);

struct s3_part {
  int number = 0;
  std::string etag;
  std::uint64_t size = 0;
  std::optional<std::uint32_t> crc32c; // where it was sent as a checksum
};

struct s3_multipart {
  object_name name;
  std::string upload_id;
  bool checksums = false; // the store said that it verifies CRC32C of the whole object
};

struct s3_finished {
  std::string etag;      // without quotes; empty when the store did not say it (Ceph RGW 16 of a multipart upload)
  bool verified = false; // the store confirmed the checksum
};

class s3_client;

// A part whose bytes are sent as they come: exactly as many as were announced, then finish. Destroyed before, its connection is cut and S3 has no such part.
class s3_part_upload {
public:
  s3_part_upload(std::unique_ptr<http_upload> on, s3_part part, bool checksum, std::string during);
  s3_part_upload(const s3_part_upload&) = delete;
  s3_part_upload& operator=(const s3_part_upload&) = delete;

  task<result<void>> write(std::span<const char> bytes);
  std::uint64_t left() const { return part_.size - sent_; }
  task<s3_result<s3_part>> finish();

private:
  const std::unique_ptr<http_upload> on_;
  s3_part part_;
  const bool checksum_;
  const std::string during_;
  std::uint64_t sent_ = 0, chunk_left_ = 0;
  std::uint32_t crc_ = 0;
};

class s3_client {
public:
  // What is passed must outlive this.
  s3_client(s3_options options, http_client& http, credential_cache& credentials, utc_clock clock);

  // PUT /key, from memory. `bytes` must live until it returns. The store's answer is held against the checksum.
  task<s3_result<s3_finished>> put_object(object_name name, object_meta meta, std::string_view bytes, std::uint32_t crc32c);

  // POST /key?uploads. Asks for CRC32C of the whole object; whether the store knows it, its answer says.
  task<s3_result<s3_multipart>> create_multipart(object_name name, object_meta meta);
  // PUT /key?partNumber=N&uploadId=… from memory.
  task<s3_result<s3_part>> upload_part(const s3_multipart& to, int number, std::string_view bytes);
  // The same, streamed: `size` bytes will follow. The checksum goes in a trailer where the store takes checksums.
  task<s3_result<std::unique_ptr<s3_part_upload>>> begin_part(const s3_multipart& to, int number, std::uint64_t size);
  // POST /key?uploadId=…
  task<s3_result<s3_finished>> complete_multipart(const s3_multipart& what, const std::vector<s3_part>& parts, std::uint32_t crc32c);
  // DELETE /key?uploadId=…; one that is gone already is no failure.
  task<s3_result<void>> abort_multipart(const s3_multipart& what);
  // GET /key?uploadId=…, all pages.
  task<s3_result<std::vector<s3_part>>> list_parts(const s3_multipart& what);

  task<s3_result<stored_object>> head_object(object_name name);
  task<s3_result<std::string>> get_object(object_name name, std::size_t most); // errc::payload_too_large as no answer
  task<s3_result<void>> delete_object(object_name name);

  task<s3_result<http_response>> head_bucket(std::string bucket); // its headers tell date and region
  task<s3_result<std::string>> get_bucket_location(std::string bucket);
  task<s3_result<std::string>> get_bucket_cors(std::string bucket); // the XML document
  task<s3_result<void>> put_bucket_cors(std::string bucket, std::string document);

  const s3_options& options() const { return options_; }
  // The region that S3 has named for this bucket, else the configured one.
  std::string region_of(const std::string& bucket) const;

private:
  struct call;
  struct trying;
  task<s3_result<http_response>> perform(call c);
  task<s3_result<http_request>> prepare(const call& c, trying& t);
  task<bool> mend(const s3_error& e, const http_response* answer, const call& c, trying& t);
  void learn_region(const std::string& bucket, const std::string& region);

  const s3_options options_;
  http_client& http_;
  credential_cache& credentials_;
  const utc_clock clock_;
  std::atomic<std::int64_t> skew_{0}; // seconds that the server's clock is ahead of ours
  mutable std::mutex mutex_;
  std::map<std::string, std::string> regions_;
};

} // namespace postern
