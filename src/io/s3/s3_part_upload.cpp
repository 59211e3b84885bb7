#include <postern/base/digest.hpp>
#include <postern/core/object.hpp>
#include <postern/io/s3/s3_answers.hpp>
#include <postern/io/s3/s3_part_upload.hpp>
#include <postern/io/s3/s3_request.hpp>

#include <algorithm>

namespace postern {

s3_part_upload::s3_part_upload(std::unique_ptr<http_upload> upload, s3_part part, bool has_checksum,
                               std::string operation)
    : upload_(std::move(upload)), part_(std::move(part)), has_checksum_(has_checksum),
      operation_(std::move(operation)) {}

task<result<void>> s3_part_upload::write(std::span<const char> bytes) {
  if (bytes.size() > bytes_left())
    co_return failure{errc::internal, operation_ + ": " + std::to_string(bytes.size()) +
                                          " bytes are written, the part takes " + std::to_string(bytes_left()) +
                                          " more"};
  if (!has_checksum_) {
    sent_ += bytes.size();
    co_return co_await upload_->write(bytes);
  }
  crc_ = crc32c(crc_, bytes);
  while (!bytes.empty()) {
    if (chunk_left_ == 0) {
      // The end of the last chunk and the head of the next are one write.
      const auto head = (sent_ ? "\r\n" : "") + aws_chunk_head(std::min(aws_chunk_size, bytes_left()));
      auto begun = co_await upload_->write(head);
      if (!begun) co_return begun.error();
      chunk_left_ = std::min(aws_chunk_size, bytes_left());
    }
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), chunk_left_));
    auto written = co_await upload_->write(piece);
    if (!written) co_return written.error();
    sent_ += piece.size();
    chunk_left_ -= piece.size();
    bytes = bytes.subspan(piece.size());
  }
  co_return result<void>{};
}

task<aws_result<s3_part>> s3_part_upload::finish(std::optional<clock_point> deadline) {
  bool is_whole = bytes_left() == 0;
  if (has_checksum_ && is_whole) {
    part_.crc32c = crc_;
    const auto end = (sent_ ? "\r\n" : "") + aws_chunked_end(crc_);
    auto written = co_await upload_->write(end);
    is_whole = written.has_value();
  }
  // Also when bytes are missing: a store that rejects the part early has said why.
  auto answer = co_await upload_->finish(is_whole, deadline);
  if (!answer) co_return error_without_answer(answer.error(), operation_);
  if (answer->status != 200) co_return read_aws_error(*answer, operation_);
  if (!is_whole) co_return unexpected_answer(*answer, operation_, "the store answered 200 before the end of the body");
  part_.etag = bare_etag(answer->field("etag"));
  if (part_.etag.empty()) co_return unexpected_answer(*answer, operation_, "the answer has no ETag");
  const auto confirmed = answer->field(aws_checksum_trailer);
  if (part_.crc32c && !confirmed.empty() && confirmed != crc32c_base64(*part_.crc32c))
    co_return other_checksum(*answer, operation_, crc32c_base64(*part_.crc32c), confirmed);
  co_return part_;
}

} // namespace postern
