// S3 as functions: each makes one request, signs it (AWS Signature Version 4), sends it, tries again where that may
// help, and sorts the answer. Follows the Amazon S3 API Reference, and what Ceph RGW and MinIO do differently. Shared
// by all threads; a call lives on the thread that made it.
//
// Tried again, with growing pauses and jitter: broken connections, 5xx, SlowDown, RequestTimeout. Once each: a region
// or host that S3 names, the server's clock when ours is off (RequestTimeTooSkewed), other credentials when these have
// ended (ExpiredToken).
#pragma once

#include <postern/base/dates.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/s3/s3_part_upload.hpp>
#include <postern/io/s3/s3_request.hpp>
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

struct s3_multipart {
  object_name name;
  std::string upload_id;
  bool checksums = false; // the store said that it verifies CRC32C of the whole object
};

struct s3_finished {
  std::string etag;      // without quotes; empty when the store did not say it (Ceph RGW 16 of a multipart upload)
  bool verified = false; // the store confirmed the checksum
};

class s3_client {
public:
  // What is passed must outlive this.
  s3_client(s3_options options, http_client& http, credential_cache& credentials, utc_clock clock);

  // PUT /key, from memory. `bytes` must live until it returns. The store's answer is held against the checksum.
  task<aws_result<s3_finished>> put_object(object_name name, object_meta meta, std::string_view bytes,
                                           std::uint32_t crc32c);

  // POST /key?uploads. Asks for CRC32C of the whole object; whether the store knows it, its answer says.
  task<aws_result<s3_multipart>> create_multipart(object_name name, object_meta meta);
  // PUT /key?partNumber=N&uploadId=… from memory.
  task<aws_result<s3_part>> upload_part(const s3_multipart& to, int number, std::string_view bytes);
  // The same, streamed: `size` bytes will follow. The checksum goes in a trailer where the store takes checksums.
  task<aws_result<std::unique_ptr<s3_part_upload>>> begin_part(const s3_multipart& to, int number, std::uint64_t size);
  // POST /key?uploadId=…
  task<aws_result<s3_finished>> complete_multipart(const s3_multipart& what, const std::vector<s3_part>& parts,
                                                   std::uint32_t crc32c);
  // DELETE /key?uploadId=…; one that is gone already is no failure.
  task<aws_result<void>> abort_multipart(const s3_multipart& what);
  // GET /key?uploadId=…, all pages.
  task<aws_result<std::vector<s3_part>>> list_parts(const s3_multipart& what);

  task<aws_result<stored_object>> head_object(object_name name);
  // All of an object that should be small: errc::payload_too_large when it has more than `most` bytes.
  task<aws_result<std::string>> get_object(object_name name, std::size_t max);
  task<aws_result<void>> delete_object(object_name name);

  task<aws_result<http_response>> head_bucket(std::string bucket); // its headers tell date and region
  task<aws_result<std::string>> get_bucket_location(std::string bucket);
  task<aws_result<std::string>> get_bucket_cors(std::string bucket); // the XML document
  task<aws_result<void>> put_bucket_cors(std::string bucket, std::string document);

  const s3_options& options() const { return options_; }
  credential_cache& credentials() { return credentials_; }
  // The region that S3 has named for this bucket, else the configured one.
  std::string region_of(const std::string& bucket) const;
  // Now, by the clock of the S3 server where it is known to differ from this machine's.
  seconds_clock store_time() const { return clock_() + std::chrono::seconds(skew_.load(std::memory_order_relaxed)); }

private:
  struct call;
  struct trying;
  task<aws_result<http_response>> perform(call c);
  task<aws_result<http_request>> prepare(const call& c, trying& t);
  task<bool> mend(const aws_error& e, const http_response* answer, const call& c, trying& t);
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
