// Copies within S3. The bytes do not pass through this process.
#include "s3_copy.hpp"

#include "multipart_writer.hpp"
#include "s3_call.hpp"
#include <postern/base/encoding.hpp>
#include <postern/io/s3/s3_answers.hpp>

#include <algorithm>

namespace postern {

namespace {

constexpr std::uint64_t slowest_copy = 10 << 20; // bytes a second

// Bytes that a store copies take their time.
clock_point deadline_of_copy(const s3_client& s3, std::uint64_t size) {
  return s3.default_deadline() + std::chrono::seconds(size / slowest_copy);
}

// "/media/a%20b"
std::string copy_source(const object_name& from) { return "/" + from.bucket + "/" + uri_encode(from.key, true); }

} // namespace

// PUT /to HTTP/1.1
// x-amz-copy-source: /media/from
// x-amz-copy-source-if-match: "…"
// x-amz-metadata-directive: COPY
task<aws_result<std::string>> s3_client::copy_object(object_name from, std::string etag, object_name to,
                                                     operation_deadline by) {
  call c{"CopyObject", "PUT", std::move(to.bucket), std::move(to.key)};
  c.by = by;
  c.can_fail_late = c.waits_for_work = true;
  c.headers = {{"x-amz-copy-source", copy_source(from)},
               {"x-amz-copy-source-if-match", quoted_etag(etag)},
               {"x-amz-metadata-directive", "COPY"}};
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  auto copied = read_copied_bytes(*answer, operation);
  if (!copied) co_return copied.error();
  co_return std::move(copied->etag);
}

// PUT /to?partNumber=1&uploadId=… HTTP/1.1
// x-amz-copy-source: /media/from
// x-amz-copy-source-if-match: "…"
// x-amz-copy-source-range: bytes=0-5242879
task<aws_result<s3_part>> s3_client::copy_part(const s3_multipart_upload& upload, int number, object_name from,
                                               std::string etag, std::uint64_t offset, std::uint64_t size,
                                               operation_deadline by) {
  auto c = call::for_part(upload, number);
  c.operation = "UploadPartCopy";
  c.by = by;
  c.can_fail_late = c.waits_for_work = true;
  c.headers = {
      {"x-amz-copy-source", copy_source(from)},
      {"x-amz-copy-source-if-match", quoted_etag(etag)},
      {"x-amz-copy-source-range", "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + size - 1)}};
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  auto copied = read_copied_bytes(*answer, operation);
  if (!copied) co_return copied.error();
  if (copied->etag.empty()) co_return unexpected_answer(*answer, operation, "the answer has no ETag");
  co_return s3_part{number, std::move(copied->etag), size, upload.has_checksums ? copied->crc32c : std::nullopt};
}

namespace {

task<result<std::string>> copy_in_parts(s3_client& s3, object_name from, s3_object source, object_name to) {
  const auto executor = co_await asio::this_coro::executor;
  multipart_writer parts(s3, std::move(to), source.meta, executor);
  const auto part_size = std::max(s3.options().copy_part_size, (source.size + max_parts - 1) / max_parts);
  for (std::uint64_t at = 0; at < source.size; at += part_size) {
    const auto size = std::min(part_size, source.size - at);
    auto copied = co_await parts.copy_part(from, source.etag, at, size, deadline_of_copy(s3, size));
    if (copied) continue;
    co_await parts.abort();
    co_return copied.error();
  }
  auto completed = co_await parts.complete(source.size, source.crc32c, deadline_of_copy(s3, source.size));
  if (completed) co_return std::move(completed->etag);
  co_await parts.abort();
  co_return completed.error();
}

task<result<std::string>> copy_whole(s3_client& s3, object_name from, s3_object source, object_name to) {
  auto copied = co_await s3.copy_object(std::move(from), source.etag, std::move(to), deadline_of_copy(s3, source.size));
  if (!copied) co_return to_failure(copied.error());
  co_return std::move(*copied);
}

} // namespace

task<result<stored_object>> copy_s3_object(s3_client& s3, object_name from, std::string etag, object_name to) {
  auto source = co_await s3.head_object(from);
  if (!source) co_return to_failure(source.error());
  if (source->etag != etag) co_return failure{errc::conflict, "the object " + quote(from.key) + " has another ETag"};
  const bool is_whole = source->size <= s3.options().max_whole_copy;
  auto copying = is_whole ? copy_whole(s3, from, *source, to) : copy_in_parts(s3, from, *source, to);
  auto copied = co_await std::move(copying);
  if (!copied) co_return copied.error();
  stored_object made(std::move(*source));
  made.etag = std::move(*copied);
  if (!made.etag.empty()) co_return made;
  auto found = co_await s3.head_object(std::move(to));
  if (!found) co_return to_failure(found.error());
  made.etag = std::move(found->etag);
  co_return made;
}

} // namespace postern
