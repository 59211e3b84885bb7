#include <postern/base/digest.hpp>
#include <postern/base/text.hpp>
#include <postern/io/s3/s3_part_upload.hpp>
#include <postern/io/s3/s3_request.hpp>

#include <algorithm>

namespace postern {

s3_part_upload::s3_part_upload(std::unique_ptr<http_upload> on, s3_part part, bool checksum, std::string during)
    : on_(std::move(on)), part_(std::move(part)), checksum_(checksum), during_(std::move(during)) {}

task<result<void>> s3_part_upload::write(std::span<const char> bytes) {
  if (bytes.size() > left()) co_return failure{errc::internal, "more bytes than the part was to have"};
  if (!checksum_) {
    sent_ += bytes.size();
    co_return co_await on_->write(bytes);
  }
  crc_ = crc32c(crc_, bytes);
  while (!bytes.empty()) {
    if (chunk_left_ == 0) {
      // The end of the last chunk and the head of this one go together.
      const auto head = (sent_ ? "\r\n" : "") + aws_chunk_head(std::min(aws_chunk, left()));
      auto begun = co_await on_->write(head);
      if (!begun) co_return begun.error();
      chunk_left_ = std::min(aws_chunk, left());
    }
    const auto piece = bytes.first(std::min<std::uint64_t>(bytes.size(), chunk_left_));
    auto written = co_await on_->write(piece);
    if (!written) co_return written.error();
    sent_ += piece.size();
    chunk_left_ -= piece.size();
    bytes = bytes.subspan(piece.size());
  }
  co_return result<void>{};
}

task<aws_result<s3_part>> s3_part_upload::finish() {
  bool whole = left() == 0;
  if (checksum_ && whole) {
    part_.crc32c = crc_;
    const auto end = (sent_ ? "\r\n" : "") + aws_chunked_end(crc_);
    auto written = co_await on_->write(end);
    whole = written.has_value();
  }
  // Even where it is not whole: a store that refuses in the middle has said why.
  auto answer = co_await on_->finish(whole);
  if (!answer) co_return no_answer(answer.error(), during_);
  if (answer->status != 200) co_return read_aws_error(*answer, during_);
  if (!whole) co_return odd_answer(*answer, during_, "a success ahead of the body's end");
  part_.etag = bare_etag(answer->field("etag"));
  if (part_.etag.empty()) co_return odd_answer(*answer, during_, "an answer without an ETag");
  co_return part_;
}

} // namespace postern
