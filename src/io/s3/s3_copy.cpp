// Copies within S3. The bytes do not pass through this process.
#include "s3_copy.hpp"

#include "multipart_writer.hpp"
#include "s3_call.hpp"
#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
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
  co_return s3_part{number, std::move(copied->etag), size,
                    upload.sends_part_checksums() ? copied->crc32c : std::nullopt};
}

namespace {

failure other_object(const object_name& name) {
  return {errc::conflict, "the object " + quote(name.key) + " has another ETag"};
}

// The object, if it has this ETag.
task<result<s3_object>> head_matching(s3_client& s3, object_name name, std::string etag) {
  auto found = co_await s3.head_object(name);
  if (!found) co_return to_failure(found.error());
  if (found->etag != etag) co_return other_object(name);
  co_return std::move(*found);
}

task<result<void>> send_parts(s3_client& s3, multipart_writer& parts, object_name from, s3_object source) {
  const auto part_size = std::max(s3.options().copy_part_size, (source.size + max_parts - 1) / max_parts);
  for (std::uint64_t at = 0; at < source.size; at += part_size) {
    const auto size = std::min(part_size, source.size - at);
    auto copied = co_await parts.copy_part(from, source.etag, at, size, deadline_of_copy(s3, size));
    if (!copied) co_return copied;
  }
  // For a store that ignores the condition.
  auto same = co_await head_matching(s3, from, source.etag);
  if (!same) co_return same.error();
  co_return result<void>{};
}

task<result<std::string>> copy_in_parts(s3_client& s3, multipart_journal* journal, object_name from, s3_object source,
                                        object_name to) {
  const auto executor = co_await asio::this_coro::executor;
  multipart_writer parts(s3, journal, std::move(to), source.meta, source.size, executor);
  auto sent = co_await send_parts(s3, parts, std::move(from), source);
  if (!sent) {
    co_await parts.abort();
    co_return sent.error();
  }
  auto completed = co_await parts.complete(source.size, source.crc32c, deadline_of_copy(s3, source.size));
  if (completed) co_return std::move(completed->etag);
  co_await parts.abort();
  co_return completed.error();
}

// Removes the copy of an object that was another one by then.
task<> remove_copy(s3_client& s3, object_name name, std::string etag) {
  auto removing = etag.empty() ? s3.delete_object(name) : s3.delete_object_if_match(name, etag);
  auto removed = co_await std::move(removing);
  if (!removed)
    log::error("a copy of another object is left in the store",
               {{"bucket", name.bucket}, {"key", quote(name.key)}, {"why", describe(to_failure(removed.error()))}});
}

task<result<std::string>> copy_whole(s3_client& s3, object_name from, s3_object source, object_name to) {
  auto copied = co_await s3.copy_object(from, source.etag, to, deadline_of_copy(s3, source.size));
  if (!copied) co_return to_failure(copied.error());
  // A store that ignores the condition keeps the ETag of what it copied.
  if (*copied == source.etag) co_return std::move(*copied);
  auto same = co_await head_matching(s3, std::move(from), source.etag);
  if (same) co_return std::move(*copied);
  co_await remove_copy(s3, std::move(to), std::move(*copied));
  co_return same.error();
}

} // namespace

task<result<stored_object>> copy_s3_object(s3_client& s3, multipart_journal* journal, object_name from,
                                           std::string etag, object_name to) {
  auto source = co_await head_matching(s3, from, std::move(etag));
  if (!source) co_return source.error();
  const bool is_whole = source->size <= s3.options().max_whole_copy;
  auto copying = is_whole ? copy_whole(s3, from, *source, to) : copy_in_parts(s3, journal, from, *source, to);
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
