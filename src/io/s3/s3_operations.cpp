// S3's operations: what each asks for, and what its answer means.
#include "s3_call.hpp"
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>

#include <algorithm>
#include <charconv>
#include <pugixml.hpp>

namespace postern {

// --- objects ----------------------------------------------------------------------------------------

task<aws_result<s3_finished>> s3_client::put_object(object_name name, object_meta meta, std::string_view bytes,
                                                    std::uint32_t crc32c) {
  call c{"PutObject", "PUT", std::move(name.bucket), std::move(name.key)};
  c.body = bytes;
  auto headers = object_headers(meta);
  if (!headers) {
    auto e = no_answer(headers.error(), c.during());
    e.sorted = headers.error().code;
    co_return e;
  }
  c.headers = std::move(*headers);
  const auto sum = crc32c_base64(crc32c);
  c.headers.emplace_back("x-amz-checksum-crc32c", sum);
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  const std::string etag(bare_etag(answer->field("etag")));
  const auto said = answer->field("x-amz-checksum-crc32c");
  if (!said.empty() && said != sum) {
    auto e = odd_answer(*answer, during, "the store has another checksum");
    e.sorted = errc::bad_digest;
    co_return e;
  }
  co_return s3_finished{etag, !said.empty()};
}

task<aws_result<stored_object>> s3_client::head_object(object_name name) {
  call c{"HeadObject", "HEAD", std::move(name.bucket), std::move(name.key)};
  c.headers.emplace_back("x-amz-checksum-mode", "ENABLED");
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  stored_object out;
  const auto length = answer->field("content-length");
  if (std::from_chars(length.data(), length.data() + length.size(), out.size).ec != std::errc{})
    co_return odd_answer(*answer, during, "an answer without a Content-Length");
  out.etag = bare_etag(answer->field("etag"));
  // That of a multipart upload whose parts were summed one by one is none of the object's.
  if (answer->field("x-amz-checksum-type") != "COMPOSITE")
    out.crc32c = crc32c_of(answer->field("x-amz-checksum-crc32c"));
  constexpr std::string_view prefix = "x-amz-meta-";
  for (const auto& [field, value] : answer->fields) {
    if (field.starts_with(prefix))
      out.meta.user.emplace_back(field.substr(prefix.size()), plain_metadata(value));
    else if (field == "content-type" || field == "cache-control" || field == "content-disposition" ||
             field == "content-encoding" || field == "expires")
      out.meta.headers.emplace_back(field, value);
  }
  co_return out;
}

task<aws_result<std::string>> s3_client::get_object(object_name name, std::size_t max) {
  call c{"GetObject", "GET", std::move(name.bucket), std::move(name.key)};
  c.headers.emplace_back("Range", "bytes=0-" + std::to_string(max)); // one byte more than is taken
  c.max = std::max(max_answer, max + 1);
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().code == "InvalidRange") co_return std::string{}; // an empty object has no first byte
  if (!answer) co_return answer.error();
  if (answer->body.size() <= max) co_return std::move(answer->body);
  auto e = odd_answer(*answer, during, "an object larger than " + std::to_string(max) + " bytes");
  e.sorted = errc::payload_too_large;
  co_return e;
}

task<aws_result<void>> s3_client::delete_object(object_name name) {
  call c{"DeleteObject", "DELETE", std::move(name.bucket), std::move(name.key)};
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().sorted != errc::object_absent) co_return answer.error();
  co_return aws_result<void>{};
}

// --- multipart uploads ------------------------------------------------------------------------------

namespace {

std::string upload_id_in(const http_response& answer) {
  pugi::xml_document document;
  (void)document.load_buffer(answer.body.data(), answer.body.size());
  return document.document_element().child_value("UploadId");
}

std::string part_list(const std::vector<s3_part>& parts) {
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

task<aws_result<s3_multipart>> s3_client::create_multipart(object_name name, object_meta meta) {
  call c{"CreateMultipartUpload", "POST", name.bucket, name.key, {{"uploads", ""}}};
  auto headers = object_headers(meta);
  if (!headers) {
    auto e = no_answer(headers.error(), c.during());
    e.sorted = headers.error().code;
    co_return e;
  }
  c.headers = std::move(*headers);
  c.headers.emplace_back("x-amz-checksum-algorithm", "CRC32C");
  c.headers.emplace_back("x-amz-checksum-type", "FULL_OBJECT");
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  s3_multipart out{std::move(name), upload_id_in(*answer), answer->field("x-amz-checksum-type") == "FULL_OBJECT"};
  if (out.upload_id.empty()) co_return odd_answer(*answer, during, "an answer without an UploadId");
  co_return out;
}

task<aws_result<s3_part>> s3_client::upload_part(const s3_multipart& to, int number, std::string_view bytes) {
  call c{"UploadPart",
         "PUT",
         to.name.bucket,
         to.name.key,
         {{"partNumber", std::to_string(number)}, {"uploadId", to.upload_id}}};
  c.body = bytes;
  s3_part part{number, {}, bytes.size(), std::nullopt};
  if (to.checksums) {
    part.crc32c = crc32c(0, {bytes.data(), bytes.size()});
    c.headers.emplace_back("x-amz-checksum-crc32c", crc32c_base64(*part.crc32c));
  }
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  part.etag = bare_etag(answer->field("etag"));
  if (part.etag.empty()) co_return odd_answer(*answer, during, "an answer without an ETag");
  co_return part;
}

task<aws_result<s3_finished>> s3_client::complete_multipart(const s3_multipart& what, const std::vector<s3_part>& parts,
                                                            std::uint32_t crc32c) {
  const auto document = part_list(parts);
  call c{"CompleteMultipartUpload", "POST", what.name.bucket, what.name.key, {{"uploadId", what.upload_id}}};
  c.carry(document);
  const auto sum = crc32c_base64(crc32c);
  if (what.checksums) {
    c.headers.emplace_back("x-amz-checksum-crc32c", sum);
    c.headers.emplace_back("x-amz-checksum-type", "FULL_OBJECT");
  }
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  pugi::xml_document said;
  (void)said.load_buffer(answer->body.data(), answer->body.size());
  const auto top = said.document_element();
  if (std::string_view(top.name()) != "CompleteMultipartUploadResult")
    co_return odd_answer(*answer, during, "an answer that is not its result");
  const std::string etag(bare_etag(top.child_value("ETag")));
  const std::string_view confirmed = top.child_value("ChecksumCRC32C");
  if (!confirmed.empty() && what.checksums && confirmed != sum) {
    auto e = odd_answer(*answer, during, "the store has another checksum");
    e.sorted = errc::bad_digest;
    co_return e;
  }
  co_return s3_finished{etag, what.checksums && !confirmed.empty()};
}

task<aws_result<void>> s3_client::abort_multipart(const s3_multipart& what) {
  call c{"AbortMultipartUpload", "DELETE", what.name.bucket, what.name.key, {{"uploadId", what.upload_id}}};
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().sorted != errc::object_absent) co_return answer.error();
  co_return aws_result<void>{};
}

task<aws_result<std::vector<s3_part>>> s3_client::list_parts(const s3_multipart& what) {
  std::vector<s3_part> parts;
  for (std::string marker = "0";;) {
    call c{"ListParts",
           "GET",
           what.name.bucket,
           what.name.key,
           {{"uploadId", what.upload_id}, {"part-number-marker", marker}}};
    const auto during = c.during();
    auto answer = co_await perform(std::move(c));
    if (!answer) co_return answer.error();
    pugi::xml_document said;
    (void)said.load_buffer(answer->body.data(), answer->body.size());
    const auto top = said.document_element();
    if (std::string_view(top.name()) != "ListPartsResult")
      co_return odd_answer(*answer, during, "an answer that is not its result");
    for (const auto p : top.children("Part"))
      parts.push_back({p.child("PartNumber").text().as_int(), std::string(bare_etag(p.child_value("ETag"))),
                       p.child("Size").text().as_ullong(), crc32c_of(p.child_value("ChecksumCRC32C"))});
    if (std::string_view(top.child_value("IsTruncated")) != "true") break;
    // Half a list would be taken for the whole.
    const std::string next = top.child_value("NextPartNumberMarker");
    if (next.empty() || next == marker) co_return odd_answer(*answer, during, "a list that does not go on");
    marker = next;
  }
  co_return parts;
}

// --- buckets ----------------------------------------------------------------------------------------

task<aws_result<http_response>> s3_client::head_bucket(std::string bucket) {
  return perform(call("HeadBucket", "HEAD", std::move(bucket), {}));
}

task<aws_result<std::string>> s3_client::get_bucket_location(std::string bucket) {
  call c{"GetBucketLocation", "GET", std::move(bucket), {}, {{"location", ""}}};
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  pugi::xml_document said;
  (void)said.load_buffer(answer->body.data(), answer->body.size());
  const std::string region = said.document_element().text().get();
  co_return region.empty() ? "us-east-1"
  : region == "EU"         ? "eu-west-1"
                           : region; // the first region, and the second one's old name
}

task<aws_result<std::string>> s3_client::get_bucket_cors(std::string bucket) {
  call c{"GetBucketCors", "GET", std::move(bucket), {}, {{"cors", ""}}};
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return std::move(answer->body);
}

task<aws_result<void>> s3_client::put_bucket_cors(std::string bucket, std::string document) {
  call c{"PutBucketCors", "PUT", std::move(bucket), {}, {{"cors", ""}}};
  c.carry(document);
  const auto sum = md5(document);
  c.headers.emplace_back("Content-MD5", to_base64({reinterpret_cast<const char*>(sum.data()), sum.size()}));
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return aws_result<void>{};
}

} // namespace postern
