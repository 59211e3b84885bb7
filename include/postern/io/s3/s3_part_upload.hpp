// One part of a multipart upload whose bytes are sent to S3 as they come. Made by s3_client::begin_part; lives on the
// thread that began it.
#pragma once

#include <postern/io/aws/aws_error.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/tasks.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace postern {

struct s3_part {
  int number = 0;
  std::string etag;
  std::uint64_t size = 0;
  std::optional<std::uint32_t> crc32c; // where it was sent as a checksum
};

// A part whose bytes are sent as they come: exactly as many as were announced, then finish. Destroyed before, its
// connection is cut and S3 has no such part.
class s3_part_upload {
public:
  s3_part_upload(std::unique_ptr<http_upload> on, s3_part part, bool checksum, std::string during);
  s3_part_upload(const s3_part_upload&) = delete;
  s3_part_upload& operator=(const s3_part_upload&) = delete;

  task<result<void>> write(std::span<const char> bytes);
  std::uint64_t left() const { return part_.size - sent_; }
  std::uint64_t size() const { return part_.size; }
  // The CRC-32C of what was written, where it is sent with the part.
  std::optional<std::uint32_t> sum() const { return checksum_ ? std::optional(crc_) : std::nullopt; }
  // The answer, also where not all bytes were sent: then it is why S3 wanted no more of them, if it said so.
  task<aws_result<s3_part>> finish();

private:
  const std::unique_ptr<http_upload> on_;
  s3_part part_;
  const bool checksum_;
  const std::string during_;
  std::uint64_t sent_ = 0, chunk_left_ = 0;
  std::uint32_t crc_ = 0;
};

} // namespace postern
