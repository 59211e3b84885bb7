// S3's operations as functions. Each builds one request, signs it (AWS Signature Version 4), sends it, retries where a
// retry can help, and reads the answer. Follows the Amazon S3 API Reference, and Ceph RGW and MinIO where they differ.
// `storage` owns one client; every thread uses it, and an operation runs on the thread that called it.
//
// Every operation has one deadline over all its tries and the pauses between them: no try begins and no pause is made
// that would end later, and a running try is cut. The default is s3_options::deadline from the operation's beginning.
// The operations that end an upload take the deadline as a parameter, because they share one.
//
// Retried with growing pauses and jitter: broken connections, 5xx, SlowDown, RequestTimeout. Corrected once each, then
// sent again: another region or host that S3 names, a difference between the clocks (RequestTimeTooSkewed), credentials
// that have expired (ExpiredToken).
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/metrics.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/multipart_store.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/s3/s3_part_upload.hpp>
#include <postern/io/s3/s3_request.hpp>
#include <postern/io/store.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

// A multipart upload that was created and is neither completed nor aborted.
struct s3_multipart_upload {
  object_name name;
  std::string upload_id;
  bool has_checksums = false;                // the store agreed to verify the CRC32C of the whole object
  std::optional<seconds_clock> created_at{}; // by the store's clock
  bool has_part_checksums = false;           // it agreed to verify those of the parts only (Cloudflare R2)
  bool may_have_twin = false;                // an earlier try was not answered, and may have begun another one

  bool sends_part_checksums() const { return has_checksums || has_part_checksums; }
};

// What the store answered when an object became complete.
struct s3_write_result {
  std::string etag;         // without quotes; empty when the store did not send one (Ceph RGW 16 after multipart)
  bool is_verified = false; // the store confirmed the checksum
};

// An object as HeadObject shows it.
struct s3_object : stored_object {
  std::optional<seconds_clock> last_modified; // of a multipart upload: when it was created (Amazon S3)
};

// The lifecycle rules of a bucket.
struct bucket_lifecycle {
  std::string document; // XML
  // The field x-amz-transition-default-minimum-object-size, which belongs to the rules; empty: the store sent none.
  std::string min_transition_size;
};

using operation_deadline = std::optional<clock_point>; // nothing: the default

class s3_client {
public:
  // The references must outlive this.
  s3_client(s3_options options, http_client& http, credential_cache& credentials, store_clock& clock);

  // PUT /key, from memory. `bytes` must live until this returns. errc::bad_digest when the store answers with another
  // checksum. Without s3_options::sends_checksums, no operation sends one.
  task<aws_result<s3_write_result>> put_object(object_name name, object_meta meta, std::string_view bytes,
                                               std::uint32_t crc32c, operation_deadline by = std::nullopt);

  // The same, streamed: the caller writes exactly `size` bytes. They cannot be sent again, so what fails after the
  // first of them is not retried. The checksum is sent behind them, in a trailer, if takes_trailers().
  task<aws_result<std::unique_ptr<s3_part_upload>>> begin_object(object_name name, object_meta meta,
                                                                 std::uint64_t size);
  // Whether the store verifies checksums in trailers, as its last answer to create_multipart said. Nothing: it was not
  // asked yet.
  std::optional<bool> takes_trailers() const {
    if (!options_.sends_checksums) return false;
    return takes_trailers_.load(std::memory_order_relaxed);
  }
  // PUT /key with If-None-Match: * and a Content-MD5 of other bytes. A store that follows S3 refuses it and stores
  // nothing; the error says why. For s3_abilities.
  task<aws_result<void>> put_with_wrong_digest(object_name name, operation_deadline by);

  // POST /key?uploads. `with_checksums`: asks the store to verify the CRC32C of the whole object; has_checksums says
  // whether it agreed. A store that refuses the question is asked for less: to verify the parts, then for nothing.
  // Later calls begin there.
  task<aws_result<s3_multipart_upload>> create_multipart(object_name name, object_meta meta, bool with_checksums = true,
                                                         operation_deadline by = std::nullopt);
  // PUT /key?partNumber=N&uploadId=…, from memory. `bytes` must live until this returns.
  task<aws_result<s3_part>> upload_part(const s3_multipart_upload& upload, int number, std::string_view bytes,
                                        operation_deadline by = std::nullopt);
  // The same, streamed: the caller writes exactly `size` bytes. The checksum is sent behind them, in a trailer, where
  // the store verifies checksums. The deadline is that of the beginning: the bytes may take longer.
  task<aws_result<std::unique_ptr<s3_part_upload>>> begin_part(const s3_multipart_upload& upload, int number,
                                                               std::uint64_t size);
  // POST /key?uploadId=… `crc32c` is that of the whole object. `never_overwrite`: If-None-Match: *, and errc::conflict
  // when an object has this name. errc::bad_digest as for put_object.
  task<aws_result<s3_write_result>> complete_multipart(const s3_multipart_upload& upload,
                                                       const std::vector<s3_part>& parts, std::uint32_t crc32c,
                                                       operation_deadline by = std::nullopt,
                                                       bool never_overwrite = false);
  // DELETE /key?uploadId=… Idempotent.
  task<aws_result<void>> abort_multipart(const s3_multipart_upload& upload, operation_deadline by = std::nullopt);
  // GET /key?uploadId=…, all pages.
  task<aws_result<std::vector<s3_part>>> list_parts(const s3_multipart_upload& upload);
  // GET /?uploads&prefix=…: one page, which has at most 1000 uploads.
  task<aws_result<std::vector<store_upload>>> list_multiparts(std::string bucket, std::string prefix);

  task<aws_result<s3_object>> head_object(object_name name, operation_deadline by = std::nullopt);
  // The whole of a small object. errc::payload_too_large when it has more than `max` bytes.
  task<aws_result<std::string>> get_object(object_name name, std::size_t max);
  // At most `max` bytes from `offset` on, if the ETag is still `etag`. Empty when the object has no byte there.
  // errc::conflict: it has another ETag.
  task<aws_result<std::string>> read_object(object_name name, std::string etag, std::uint64_t offset, std::size_t max,
                                            operation_deadline by = std::nullopt);
  // Copies an object of at most 5 GiB with its metadata, if its ETag is still `etag`, and returns the copy's ETag,
  // which is empty when the store sent none. errc::conflict: it has another ETag.
  task<aws_result<std::string>> copy_object(object_name from, std::string etag, object_name to,
                                            operation_deadline by = std::nullopt);
  // PUT /key?partNumber=N&uploadId=…, whose bytes are those of another object from `offset` on, if its ETag is still
  // `etag`. errc::conflict as for copy_object.
  task<aws_result<s3_part>> copy_part(const s3_multipart_upload& upload, int number, object_name from, std::string etag,
                                      std::uint64_t offset, std::uint64_t size, operation_deadline by = std::nullopt);
  // Idempotent.
  task<aws_result<void>> delete_object(object_name name, operation_deadline by = std::nullopt);
  // Idempotent. errc::conflict: the object has another ETag. A store without conditional deletes ignores `etag`.
  task<aws_result<void>> delete_object_if_match(object_name name, std::string etag,
                                                operation_deadline by = std::nullopt);

  // GET /?list-type=2&prefix=…: at most `max` keys, and no more than one page has (1000).
  task<aws_result<std::vector<std::string>>> list_objects(std::string bucket, std::string prefix, std::size_t max);

  // The answer's header fields name the date and the bucket's region.
  task<aws_result<http_response>> head_bucket(std::string bucket);
  task<aws_result<std::string>> get_bucket_location(std::string bucket);
  // The XML document.
  task<aws_result<std::string>> get_bucket_cors(std::string bucket, operation_deadline by = std::nullopt);
  task<aws_result<void>> put_bucket_cors(std::string bucket, std::string document);
  task<aws_result<bucket_lifecycle>> get_bucket_lifecycle(std::string bucket);
  task<aws_result<void>> put_bucket_lifecycle(std::string bucket, bucket_lifecycle rules);

  // Calls this with each refusal that has a remedy (remedy_of), on the thread of the operation. Set it before the first
  // operation.
  void report_refusals_to(std::function<void(const aws_error&)> report) { report_ = std::move(report); }

  const s3_options& options() const { return options_; }
  credential_cache& credentials() { return credentials_; }
  // The deadline of an operation, or of the end of an upload, that begins now.
  clock_point default_deadline() const { return std::chrono::steady_clock::now() + options_.deadline; }
  // The region that S3 has named for this bucket, else the configured one.
  std::string region_of(const std::string& bucket) const;
  seconds_clock store_time() const { return clock_.now(); }

private:
  struct call;
  struct attempts;
  enum class checked { whole_object, parts, nothing }; // what a store verifies the CRC32C of, in multipart uploads
  task<aws_result<s3_multipart_upload>> create_multipart_with(call c, checked what);
  task<aws_result<void>> put_document(call c, std::string document);
  task<aws_result<http_response>> perform(call c);
  task<aws_result<std::unique_ptr<s3_part_upload>>> begin_streamed(call c, s3_part part, bool has_checksum);
  task<aws_result<http_request>> sign(const call& c, attempts& a);
  task<bool> should_retry(const aws_error& e, const http_response* answer, const call& c, attempts& a);
  bool learn_location(const aws_error& e, const http_response& answer, const call& c, attempts& a);
  bool learn_clock(const aws_error& e, const call& c, attempts& a);
  void learn_region(const std::string& bucket, const std::string& region);
  void report(const aws_error& e) const {
    if (report_ && !remedy_of(e).empty()) report_(e);
  }

  const s3_options options_;
  http_client& http_;
  credential_cache& credentials_;
  store_clock& clock_;
  metrics::counter succeeded_, failed_; // requests
  metrics::histogram seconds_;
  std::function<void(const aws_error&)> report_;
  std::atomic<std::optional<bool>> takes_trailers_{};
  std::atomic<checked> verifies_{checked::whole_object}; // at most; less once the store has refused more
  mutable std::mutex mutex_;
  std::map<std::string, std::string> regions_; // by bucket, as S3 has named them
};

} // namespace postern
