// The operations of s3_client: the request of each. How their answers are read is in s3_answers.
#include "s3_call.hpp"
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/core/object.hpp>
#include <postern/io/s3/s3_answers.hpp>

#include <algorithm>

namespace postern {

namespace {

aws_error unusable_metadata(const failure& why, std::string operation) {
  auto e = error_without_answer(why, std::move(operation));
  e.category = why.code;
  return e;
}

} // namespace

// --- objects ----------------------------------------------------------------------------------------

task<aws_result<s3_write_result>> s3_client::put_object(object_name name, object_meta meta, std::string_view bytes,
                                                        std::uint32_t crc32c, operation_deadline by) {
  call c{"PutObject", "PUT", std::move(name.bucket), std::move(name.key)};
  c.by = by;
  c.body = bytes;
  auto headers = object_headers(meta);
  if (!headers) co_return unusable_metadata(headers.error(), c.to_text());
  c.headers = std::move(*headers);
  const auto sum = crc32c_base64(crc32c);
  if (options_.sends_checksums) c.headers.emplace_back("x-amz-checksum-crc32c", sum);
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  const std::string etag(bare_etag(answer->field("etag")));
  const auto confirmed = answer->field("x-amz-checksum-crc32c");
  if (!confirmed.empty() && confirmed != sum) co_return other_checksum(*answer, operation, sum, confirmed);
  co_return s3_write_result{etag, !confirmed.empty()};
}

task<aws_result<std::unique_ptr<s3_part_upload>>> s3_client::begin_object(object_name name, object_meta meta,
                                                                          std::uint64_t size) {
  call c{"PutObject", "PUT", std::move(name.bucket), std::move(name.key)};
  auto headers = object_headers(meta);
  if (!headers) co_return unusable_metadata(headers.error(), c.to_text());
  c.headers = std::move(*headers);
  s3_part whole{0, {}, size, std::nullopt};
  co_return co_await begin_streamed(std::move(c), std::move(whole), takes_trailers().value_or(false));
}

task<aws_result<s3_object>> s3_client::head_object(object_name name, operation_deadline by) {
  call c{"HeadObject", "HEAD", std::move(name.bucket), std::move(name.key)};
  c.by = by;
  if (options_.sends_checksums) c.headers.emplace_back("x-amz-checksum-mode", "ENABLED");
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  auto read = read_head_object(*answer, operation);
  if (!read) co_return read.error();
  s3_object found{std::move(*read), std::nullopt};
  if (const auto changed = parse_http_date(answer->field("last-modified"))) found.last_modified = *changed;
  co_return found;
}

task<aws_result<std::string>> s3_client::get_object(object_name name, std::size_t max) {
  call c{"GetObject", "GET", std::move(name.bucket), std::move(name.key)};
  c.headers.emplace_back("Range", "bytes=0-" + std::to_string(max)); // one byte more than `max`
  c.max = std::max(max_answer, max + 1);
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().code == "InvalidRange") co_return std::string{}; // an empty object has no first byte
  if (!answer) co_return answer.error();
  if (answer->body.size() <= max) co_return std::move(answer->body);
  auto e = unexpected_answer(*answer, operation, "the object has more than " + std::to_string(max) + " bytes");
  e.category = errc::payload_too_large;
  co_return e;
}

task<aws_result<std::string>> s3_client::read_object(object_name name, std::string etag, std::uint64_t offset,
                                                     std::size_t max, operation_deadline by) {
  call c{"GetObject", "GET", std::move(name.bucket), std::move(name.key)};
  c.by = by;
  c.max = std::max(max_error, max);
  const auto first = std::to_string(offset);
  c.headers = {{"Range", "bytes=" + first + "-" + std::to_string(offset + max - 1)}, {"If-Match", quoted_etag(etag)}};
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().status == 416) co_return std::string{};
  if (!answer) co_return answer.error();
  const bool is_right_piece = answer->status == 206 && answer->body.size() <= max &&
                              answer->field("content-range").starts_with("bytes " + first + "-");
  if (!is_right_piece)
    co_return unexpected_answer(*answer, operation, "the answer has other bytes than were asked for");
  co_return std::move(answer->body);
}

task<aws_result<void>> s3_client::delete_object(object_name name, operation_deadline by) {
  call c{"DeleteObject", "DELETE", std::move(name.bucket), std::move(name.key)};
  c.by = by;
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().category != errc::object_absent) co_return answer.error();
  co_return aws_result<void>{};
}

task<aws_result<void>> s3_client::delete_object_if_match(object_name name, std::string etag, operation_deadline by) {
  const auto by_then = by.value_or(default_deadline());
  call c{"DeleteObject", "DELETE", std::move(name.bucket), std::move(name.key)};
  c.by = by_then;
  auto plain = c;
  c.headers.emplace_back("If-Match", quoted_etag(etag));
  auto answer = co_await perform(std::move(c));
  // Amazon S3's answer for buckets and headers that it does not support together.
  if (!answer && answer.error().code == "NotImplemented") answer = co_await perform(std::move(plain));
  if (!answer && answer.error().category != errc::object_absent) co_return answer.error();
  co_return aws_result<void>{};
}

// --- multipart uploads ------------------------------------------------------------------------------

namespace {

std::string document_of(const std::vector<s3_part>& parts) {
  std::string xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (const auto& p : parts) {
    xml += "<Part><PartNumber>" + std::to_string(p.number) + "</PartNumber><ETag>" + xml_escape(quoted_etag(p.etag)) +
           "</ETag>";
    if (p.crc32c) xml += "<ChecksumCRC32C>" + crc32c_base64(*p.crc32c) + "</ChecksumCRC32C>";
    xml += "</Part>";
  }
  return xml + "</CompleteMultipartUpload>";
}

} // namespace

namespace {

// The store may refuse the algorithm or the type, not the upload. Then the same question without them succeeds.
bool may_be_about_checksums(const aws_error& e) {
  return e.status == 501 || (e.status == 400 && (e.code == "InvalidRequest" || e.code == "InvalidArgument"));
}

} // namespace

task<aws_result<s3_multipart_upload>> s3_client::create_multipart(object_name name, object_meta meta,
                                                                  bool with_checksums, operation_deadline by) {
  call c{"CreateMultipartUpload", "POST", std::move(name.bucket), std::move(name.key), {{"uploads", ""}}};
  c.by = by.value_or(default_deadline()); // of all questions together
  auto headers = object_headers(meta);
  if (!headers) co_return unusable_metadata(headers.error(), c.to_text());
  c.headers = std::move(*headers);
  const bool asks = with_checksums && options_.sends_checksums;
  auto what = asks ? verifies_.load(std::memory_order_relaxed) : checked::nothing;
  for (;;) {
    auto asked = c;
    auto created = co_await create_multipart_with(std::move(asked), what);
    if (created && asks) {
      verifies_.store(what, std::memory_order_relaxed);
      takes_trailers_.store(created->sends_part_checksums(), std::memory_order_relaxed);
    }
    if (created || what == checked::nothing || !may_be_about_checksums(created.error())) co_return created;
    what = what == checked::whole_object ? checked::parts : checked::nothing;
  }
}

// x-amz-checksum-algorithm: CRC32C
// x-amz-checksum-type: FULL_OBJECT
//
// A store that does not know these fields ignores them, and its answer lacks them.
task<aws_result<s3_multipart_upload>> s3_client::create_multipart_with(call c, checked what) {
  const std::string type = what == checked::whole_object ? "FULL_OBJECT" : "COMPOSITE";
  if (what != checked::nothing) {
    c.headers.emplace_back("x-amz-checksum-algorithm", "CRC32C");
    c.headers.emplace_back("x-amz-checksum-type", type);
  }
  const auto operation = c.to_text();
  object_name name{c.bucket, c.key};
  bool may_have_twin = false;
  c.may_be_done_twice = &may_have_twin;
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  auto id = read_upload_id(*answer, operation);
  if (!id) co_return id.error();
  const bool agrees = what != checked::nothing && answer->field("x-amz-checksum-type") == type;
  s3_multipart_upload created{std::move(name), std::move(*id), agrees && what == checked::whole_object};
  created.has_part_checksums = agrees && what == checked::parts;
  created.may_have_twin = may_have_twin;
  if (const auto date = parse_http_date(answer->field("date"))) created.created_at = *date;
  co_return created;
}

task<aws_result<s3_part>> s3_client::upload_part(const s3_multipart_upload& upload, int number, std::string_view bytes,
                                                 operation_deadline by) {
  auto c = call::for_part(upload, number);
  c.body = bytes;
  c.by = by;
  s3_part part{number, {}, bytes.size(), std::nullopt};
  if (upload.sends_part_checksums()) {
    part.crc32c = crc32c(0, {bytes.data(), bytes.size()});
    c.headers.emplace_back("x-amz-checksum-crc32c", crc32c_base64(*part.crc32c));
  }
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  part.etag = bare_etag(answer->field("etag"));
  if (part.etag.empty()) co_return unexpected_answer(*answer, operation, "the answer has no ETag");
  co_return part;
}

task<aws_result<std::unique_ptr<s3_part_upload>>> s3_client::begin_part(const s3_multipart_upload& upload, int number,
                                                                        std::uint64_t size) {
  auto c = call::for_part(upload, number);
  s3_part part{number, {}, size, std::nullopt};
  co_return co_await begin_streamed(std::move(c), std::move(part), upload.sends_part_checksums());
}

task<aws_result<s3_write_result>> s3_client::complete_multipart(const s3_multipart_upload& upload,
                                                                const std::vector<s3_part>& parts, std::uint32_t crc32c,
                                                                operation_deadline by, bool never_overwrite) {
  const auto body = document_of(parts);
  call c{"CompleteMultipartUpload", "POST", upload.name.bucket, upload.name.key, {{"uploadId", upload.upload_id}}};
  c.set_document(body);
  c.by = by;
  const auto sum = crc32c_base64(crc32c);
  if (upload.has_checksums) {
    c.headers.emplace_back("x-amz-checksum-crc32c", sum);
    c.headers.emplace_back("x-amz-checksum-type", "FULL_OBJECT");
  }
  if (never_overwrite) c.headers.emplace_back("If-None-Match", "*");
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  auto completed = read_completed_multipart(*answer, operation);
  if (!completed) co_return completed.error();
  const auto& confirmed = completed->crc32c;
  if (!confirmed.empty() && upload.has_checksums && confirmed != sum)
    co_return other_checksum(*answer, operation, sum, confirmed);
  co_return s3_write_result{completed->etag, upload.has_checksums && !confirmed.empty()};
}

task<aws_result<void>> s3_client::abort_multipart(const s3_multipart_upload& upload, operation_deadline by) {
  call c{"AbortMultipartUpload", "DELETE", upload.name.bucket, upload.name.key, {{"uploadId", upload.upload_id}}};
  c.by = by;
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().category != errc::object_absent) co_return answer.error();
  co_return aws_result<void>{};
}

task<aws_result<std::vector<s3_part>>> s3_client::list_parts(const s3_multipart_upload& upload) {
  part_list list;
  const auto by = default_deadline(); // of all pages together
  while (!list.is_complete()) {
    call c{"ListParts",
           "GET",
           upload.name.bucket,
           upload.name.key,
           {{"uploadId", upload.upload_id}, {"part-number-marker", std::to_string(list.marker())}}};
    c.by = by;
    const auto operation = c.to_text();
    auto answer = co_await perform(std::move(c));
    if (!answer) co_return answer.error();
    auto added = list.add_page(*answer, operation);
    if (!added) co_return added.error();
  }
  co_return list.parts();
}

task<aws_result<std::vector<store_upload>>> s3_client::list_multiparts(std::string bucket, std::string prefix) {
  // Without encoding-type: Ceph RGW 16 then encodes the keys and does not say so. Keys of uploads have no control
  // characters, which XML 1.0 could not have.
  call c{"ListMultipartUploads",
         "GET",
         bucket,
         {},
         {{"uploads", ""}, {"prefix", std::move(prefix)}, {"max-uploads", "1000"}}};
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return read_multiparts(*answer, operation, bucket);
}

// --- buckets ----------------------------------------------------------------------------------------

namespace {

constexpr const char* min_transition_size = "x-amz-transition-default-minimum-object-size";

} // namespace

task<aws_result<std::vector<std::string>>> s3_client::list_objects(std::string bucket, std::string prefix,
                                                                   std::size_t max) {
  const auto count = std::to_string(std::min<std::size_t>(max, 1000));
  call c{"ListObjectsV2",
         "GET",
         std::move(bucket),
         {},
         {{"list-type", "2"}, {"prefix", std::move(prefix)}, {"max-keys", count}, {"encoding-type", "url"}}};
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return read_object_keys(*answer, operation);
}

task<aws_result<http_response>> s3_client::head_bucket(std::string bucket) {
  return perform(call("HeadBucket", "HEAD", std::move(bucket), {}));
}

task<aws_result<std::string>> s3_client::get_bucket_location(std::string bucket) {
  call c{"GetBucketLocation", "GET", std::move(bucket), {}, {{"location", ""}}};
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return read_bucket_region(*answer, operation);
}

task<aws_result<std::string>> s3_client::get_bucket_cors(std::string bucket, operation_deadline by) {
  call c{"GetBucketCors", "GET", std::move(bucket), {}, {{"cors", ""}}};
  c.by = by;
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return std::move(answer->body);
}

task<aws_result<void>> s3_client::put_bucket_cors(std::string bucket, std::string document) {
  return put_document(call("PutBucketCors", "PUT", std::move(bucket), {}, {{"cors", ""}}), std::move(document));
}

task<aws_result<bucket_lifecycle>> s3_client::get_bucket_lifecycle(std::string bucket) {
  call c{"GetBucketLifecycleConfiguration", "GET", std::move(bucket), {}, {{"lifecycle", ""}}};
  const auto operation = c.to_text();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  // A store that does not know these documents may answer another question: Swift lists the bucket.
  if (answer->body.find("<LifecycleConfiguration") == std::string::npos) {
    auto e = unexpected_answer(*answer, operation, "the answer is no document of lifecycle rules");
    e.status = 501;
    e.code = "NotImplemented";
    co_return e;
  }
  std::string size(answer->field(min_transition_size));
  co_return bucket_lifecycle{std::move(answer->body), std::move(size)};
}

task<aws_result<void>> s3_client::put_bucket_lifecycle(std::string bucket, bucket_lifecycle rules) {
  call c{"PutBucketLifecycleConfiguration", "PUT", std::move(bucket), {}, {{"lifecycle", ""}}};
  if (!rules.min_transition_size.empty()) c.headers.emplace_back(min_transition_size, rules.min_transition_size);
  return put_document(std::move(c), std::move(rules.document));
}

// With the Content-MD5 that S3 requires for these documents.
task<aws_result<void>> s3_client::put_document(call c, std::string document) {
  c.set_document(document);
  const auto sum = md5(document);
  c.headers.emplace_back("Content-MD5", to_base64({reinterpret_cast<const char*>(sum.data()), sum.size()}));
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return aws_result<void>{};
}

} // namespace postern
