// One part of a multipart upload, or a whole object, whose bytes are sent to S3 as they arrive. s3_client::begin_part
// or begin_object makes it; the caller owns it and uses it on the thread that began it.
#pragma once

#include <postern/core/object.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace postern {

using s3_part = object_part;

// Write exactly `size` bytes, then call finish. When it is destroyed before finish, the connection is cut and S3 does
// not store the bytes.
class s3_part_upload {
public:
  // `part` has number and size. `operation` names the request in errors.
  s3_part_upload(std::unique_ptr<http_upload> upload, s3_part part, bool has_checksum, std::string operation);
  s3_part_upload(const s3_part_upload&) = delete;
  s3_part_upload& operator=(const s3_part_upload&) = delete;

  // `bytes` must live until this returns. After a failure, finish can still know why S3 closed the connection.
  task<result<void>> write(std::span<const char> bytes);
  std::uint64_t bytes_left() const { return part_.size - sent_; }
  std::uint64_t size() const { return part_.size; }
  // The CRC-32C of the bytes written so far, when the part carries a checksum.
  std::optional<std::uint32_t> checksum() const { return has_checksum_ ? std::optional(crc_) : std::nullopt; }
  // S3's answer, by `deadline`. May be called before all bytes were written: S3 can reject a part early, and the error
  // is its reason. errc::bad_digest when S3 confirms another checksum.
  task<aws_result<s3_part>> finish(std::optional<clock_point> deadline = std::nullopt);

private:
  const std::unique_ptr<http_upload> upload_;
  s3_part part_;
  const bool has_checksum_;
  const std::string operation_;
  std::uint64_t sent_ = 0, chunk_left_ = 0;
  std::uint32_t crc_ = 0;
};

} // namespace postern
