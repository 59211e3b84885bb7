// What S3 answers to an operation, read from an answer that has arrived. s3_client sends the requests. Each function
// follows the operation's page in the Amazon S3 API Reference. An answer that does not follow it is an
// unexpected_answer; `operation` names the request in such errors. Pure.
#pragma once

#include <postern/core/multipart/part_sizes.hpp>
#include <postern/core/object.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/multipart_store.hpp>
#include <postern/io/s3/s3_part_upload.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

// HeadObject: size, ETag, checksum and metadata, all from header fields.
aws_result<stored_object> read_head_object(const http_response& answer, const std::string& operation);

// An answer that confirms another CRC32C than that of the bytes sent, in base64: errc::bad_digest.
aws_error other_checksum(const http_response& answer, std::string operation, std::string_view ours,
                         std::string_view theirs);

// CreateMultipartUpload: the UploadId, which is not empty.
aws_result<std::string> read_upload_id(const http_response& answer, const std::string& operation);

struct completed_multipart {
  std::string etag;   // without quotes; may be empty
  std::string crc32c; // as S3 sent it, in base64; empty when S3 sent none
};
// CompleteMultipartUpload.
aws_result<completed_multipart> read_completed_multipart(const http_response& answer, const std::string& operation);

struct copied_bytes {
  std::string etag;                    // without quotes; may be empty
  std::optional<std::uint32_t> crc32c; // when the store computed one
};
// CopyObject and UploadPartCopy.
aws_result<copied_bytes> read_copied_bytes(const http_response& answer, const std::string& operation);

// GetBucketLocation: a region name. S3 names its first region with an empty element, and its second with "EU".
aws_result<std::string> read_bucket_region(const http_response& answer, const std::string& operation);

// ListObjectsV2: the keys of one page. With <EncodingType>url</EncodingType> they are percent-encoded in the answer,
// because XML 1.0 has no control characters.
aws_result<std::vector<std::string>> read_object_keys(const http_response& answer, const std::string& operation);

// ListMultipartUploads: the uploads of one page, in `bucket`. Keys as in read_object_keys.
aws_result<std::vector<store_upload>> read_multiparts(const http_response& answer, const std::string& operation,
                                                      const std::string& bucket);

// The parts of a multipart upload, collected from the pages that ListParts answers. The work ends whatever the store
// answers: each page must lead to a later one, and there are at most `max_pages`.
class part_list {
public:
  static constexpr int max_pages = 1000;

  bool is_complete() const { return is_complete_; }
  int marker() const { return marker_; } // the part-number-marker of the next page; 0 for the first
  const std::vector<s3_part>& parts() const { return parts_; }

  // Reads the answer to the request with marker(). After a failure the list is not used any further.
  aws_result<void> add_page(const http_response& answer, const std::string& operation);

private:
  std::vector<s3_part> parts_;
  int marker_ = 0, pages_ = 0;
  bool is_complete_ = false;
};

} // namespace postern
