#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/io/aws/xml_answer.hpp>
#include <postern/io/s3/s3_answers.hpp>
#include <postern/io/s3/s3_request.hpp>

#include <optional>
#include <string_view>

namespace postern {

namespace {

bool is_named(pugi::xml_node n, std::string_view name) { return n.name() == name; }

// A part's number or a page's marker. std::nullopt: not a number from 1 to 10 000.
std::optional<int> part_number(std::string_view text) {
  const auto n = parse_number(text);
  return n && *n >= 1 && *n <= max_parts ? std::optional(static_cast<int>(*n)) : std::nullopt;
}

std::optional<s3_part> read_part(pugi::xml_node part) {
  const auto number = part_number(part.child_value("PartNumber"));
  const auto size = parse_number(part.child_value("Size"));
  if (!number || !size) return std::nullopt;
  return s3_part{*number, std::string(bare_etag(part.child_value("ETag"))), *size,
                 parse_crc32c(part.child_value("ChecksumCRC32C"))};
}

result<std::string> read_key(pugi::xml_node node, bool is_encoded) {
  const std::string_view text = node.child_value("Key");
  auto key = is_encoded ? uri_decode(text, true) : result<std::string>(std::string(text)); // AWS writes + for a space
  if (key && !key->empty()) return key;
  return failure{errc::store_failed, "a key in the answer is empty or not percent-encoded: " + quote(text)};
}

} // namespace

aws_error other_checksum(const http_response& answer, std::string operation, std::string_view ours,
                         std::string_view theirs) {
  auto e = unexpected_answer(answer, std::move(operation),
                             "the store's CRC32C is " + quote(theirs) + ", sent were bytes with " + std::string(ours));
  e.category = errc::bad_digest;
  return e;
}

// Content-Length: 5
// ETag: "…"
// x-amz-checksum-crc32c: 4waSgw==
// x-amz-meta-postern-id: …
aws_result<stored_object> read_head_object(const http_response& answer, const std::string& operation) {
  const auto size = parse_number(answer.field("content-length"));
  if (!size) return unexpected_answer(answer, operation, "the answer has no Content-Length");
  stored_object out;
  out.size = *size;
  out.etag = bare_etag(answer.field("etag"));
  // A COMPOSITE checksum is computed from the checksums of the parts. It is not the CRC32C of the object.
  if (answer.field("x-amz-checksum-type") != "COMPOSITE")
    out.crc32c = parse_crc32c(answer.field("x-amz-checksum-crc32c"));
  constexpr std::string_view prefix = "x-amz-meta-";
  for (const auto& [field, value] : answer.fields) {
    if (field.starts_with(prefix))
      out.meta.user.emplace_back(field.substr(prefix.size()), decode_metadata(value));
    else if (field == "content-type" || field == "cache-control" || field == "content-disposition" ||
             field == "content-encoding" || field == "expires")
      out.meta.headers.emplace_back(field, value);
  }
  return out;
}

// <InitiateMultipartUploadResult><UploadId>…</UploadId>…
aws_result<std::string> read_upload_id(const http_response& answer, const std::string& operation) {
  pugi::xml_document document;
  const auto top = read_xml(document, answer.body);
  std::string id = is_named(top, "InitiateMultipartUploadResult") ? top.child_value("UploadId") : "";
  if (id.empty()) return unexpected_answer(answer, operation, "the answer has no UploadId");
  return id;
}

// <CompleteMultipartUploadResult><ETag>"…"</ETag><ChecksumCRC32C>…</ChecksumCRC32C>…
aws_result<completed_multipart> read_completed_multipart(const http_response& answer, const std::string& operation) {
  pugi::xml_document document;
  const auto top = read_xml(document, answer.body);
  if (!is_named(top, "CompleteMultipartUploadResult"))
    return unexpected_answer(answer, operation, "the answer is no CompleteMultipartUploadResult");
  return completed_multipart{std::string(bare_etag(top.child_value("ETag"))), top.child_value("ChecksumCRC32C")};
}

// <CopyObjectResult><ETag>"…"</ETag><LastModified>…  or  <CopyPartResult><ETag>"…"</ETag><ChecksumCRC32C>…
aws_result<copied_bytes> read_copied_bytes(const http_response& answer, const std::string& operation) {
  pugi::xml_document document;
  const auto top = read_xml(document, answer.body);
  if (!is_named(top, "CopyObjectResult") && !is_named(top, "CopyPartResult"))
    return unexpected_answer(answer, operation, "the answer is no CopyObjectResult and no CopyPartResult");
  return copied_bytes{std::string(bare_etag(top.child_value("ETag"))), parse_crc32c(top.child_value("ChecksumCRC32C"))};
}

// <LocationConstraint>eu-central-1</LocationConstraint>, or one inside another as the API Reference shows it.
aws_result<std::string> read_bucket_region(const http_response& answer, const std::string& operation) {
  pugi::xml_document document;
  const auto top = read_xml(document, answer.body);
  if (!is_named(top, "LocationConstraint"))
    return unexpected_answer(answer, operation, "the answer is no LocationConstraint");
  const auto inner = top.child("LocationConstraint");
  const std::string_view region = (inner ? inner : top).text().get();
  if (region.empty()) return std::string("us-east-1");
  if (region == "EU") return std::string("eu-west-1");
  if (!is_region_name(region))
    return unexpected_answer(answer, operation, quote(region) + " in the answer is no name of a region");
  return std::string(region);
}

// <ListBucketResult><EncodingType>url</EncodingType><Contents><Key>a%20b</Key>…</Contents>…
aws_result<std::vector<std::string>> read_object_keys(const http_response& answer, const std::string& operation) {
  const auto no = [&](std::string_view what) { return unexpected_answer(answer, operation, what); };
  pugi::xml_document document;
  const auto top = read_xml(document, answer.body);
  if (!is_named(top, "ListBucketResult")) return no("the answer is no ListBucketResult");
  const bool is_encoded = std::string_view(top.child_value("EncodingType")) == "url";
  std::vector<std::string> keys;
  for (const auto node : top.children("Contents")) {
    auto key = read_key(node, is_encoded);
    if (!key) return no(key.error().on);
    keys.push_back(std::move(*key));
  }
  return keys;
}

// <ListMultipartUploadsResult><EncodingType>url</EncodingType><Upload><Key>a%20b</Key><UploadId>…</UploadId>…
aws_result<std::vector<store_upload>> read_multiparts(const http_response& answer, const std::string& operation,
                                                      const std::string& bucket) {
  const auto no = [&](std::string_view what) { return unexpected_answer(answer, operation, what); };
  pugi::xml_document document;
  const auto top = read_xml(document, answer.body);
  if (!is_named(top, "ListMultipartUploadsResult")) return no("the answer is no ListMultipartUploadsResult");
  const bool is_encoded = std::string_view(top.child_value("EncodingType")) == "url";
  std::vector<store_upload> uploads;
  for (const auto node : top.children("Upload")) {
    auto key = read_key(node, is_encoded);
    if (!key) return no(key.error().on);
    std::string id = node.child_value("UploadId");
    if (id.empty()) return no("an upload in the answer has no UploadId");
    uploads.push_back({{bucket, std::move(*key)}, std::move(id)});
  }
  return uploads;
}

// <ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>
//   <Part><PartNumber>1</PartNumber><ETag>"…"</ETag><Size>5242880</Size></Part>…
aws_result<void> part_list::add_page(const http_response& answer, const std::string& operation) {
  const auto no = [&](std::string_view what) { return unexpected_answer(answer, operation, what); };
  pugi::xml_document document;
  const auto top = read_xml(document, answer.body);
  if (!is_named(top, "ListPartsResult")) return no("the answer is no ListPartsResult");
  for (const auto node : top.children("Part")) {
    auto part = read_part(node);
    if (!part) return no("a part in the answer has no number from 1 to 10000 or no size");
    if (parts_.size() == max_parts) return no("the answer has more than 10000 parts");
    parts_.push_back(std::move(*part));
  }
  is_complete_ = std::string_view(top.child_value("IsTruncated")) != "true";
  if (is_complete_) return {};
  // An incomplete list must not be taken for the whole.
  const auto next = part_number(top.child_value("NextPartNumberMarker"));
  if (!next || *next <= marker_) return no("the answer is truncated and names no next page");
  if (++pages_ == max_pages) return no("the list of parts has more than 1000 pages");
  marker_ = *next;
  return {};
}

} // namespace postern
