#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/s3/aws_names.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/io/s3/s3_request.hpp>

#include <algorithm>
#include <charconv>
#include <pugixml.hpp>

namespace postern {

result<bucket_location> locate_bucket(const s3_options& o, const std::string& region, std::string_view bucket) {
  const auto endpoint =
      o.endpoint.empty() ? "https://s3." + region + "." + std::string(aws_partition_of(region).domain) : o.endpoint;
  auto url = parse_web_url(endpoint);
  if (!url) return failure{errc::invalid_argument, "store.endpoint: " + url.error().on};
  if (url->target != "/")
    return failure{errc::invalid_argument, "store.endpoint: " + quote(endpoint) + " has a path or a query"};
  if (!bucket.empty() && !is_bucket_name(bucket)) return failure{errc::no_such_bucket, quote(bucket)};
  bucket_location out{std::move(url->server), "/", region};
  const bool is_path_style = o.path_style || out.at.is_ip() || !fits_host_name(bucket, out.at.tls);
  if (is_path_style && !bucket.empty())
    out.path += uri_encode(bucket) + "/";
  else if (!bucket.empty())
    out.at.host = std::string(bucket) + "." + out.at.host;
  return out;
}

namespace {

// From <Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>, as forms have it, to a=b, as the
// header x-amz-tagging has it.
result<std::string> tag_header(const std::string& xml) {
  pugi::xml_document document;
  failure unreadable{errc::invalid_argument, "field \"tagging\" is not S3's <Tagging> document"};
  if (!document.load_buffer(xml.data(), xml.size())) return unreadable;
  const auto set = document.child("Tagging").child("TagSet");
  if (!set) return unreadable;
  std::string out;
  for (const auto tag : set.children("Tag"))
    out.append(out.empty() ? "" : "&")
        .append(uri_encode(tag.child_value("Key")))
        .append("=")
        .append(uri_encode(tag.child_value("Value")));
  return out;
}

bool is_ascii(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// RFC 2047. S3 requires it for user metadata that is not ASCII ("Working with object metadata").
std::string mime_word(const std::string& text) { return is_ascii(text) ? text : "=?UTF-8?B?" + to_base64(text) + "?="; }
} // namespace

result<std::vector<sigv4::name_value>> object_headers(const object_meta& meta) {
  std::vector<sigv4::name_value> out;
  const auto is_safe = [](std::string_view v) {
    return std::none_of(v.begin(), v.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  };
  for (const auto& [name, value] : meta.headers) {
    auto text = value;
    if (name == "tagging") {
      auto tags = tag_header(value);
      if (!tags) return tags.error();
      text = std::move(*tags);
    }
    if (!is_safe(text)) return failure{errc::invalid_argument, "field " + quote(name) + " has a control character"};
    out.emplace_back(name == "acl" ? "x-amz-acl" : name == "tagging" ? "x-amz-tagging" : name, std::move(text));
  }
  for (const auto& [name, value] : meta.user) {
    if (!is_plain_name(name))
      return failure{errc::invalid_argument, "field x-amz-meta-" + quote(name) + " has a name that no header can have"};
    if (!is_safe(value))
      return failure{errc::invalid_argument, "field x-amz-meta-" + name + " has a control character"};
    out.emplace_back("x-amz-meta-" + name, mime_word(value));
  }
  return out;
}

std::string decode_metadata(std::string_view text) {
  constexpr std::string_view begin = "=?UTF-8?B?", end = "?=";
  if (!iequals(text.substr(0, begin.size()), begin) || !text.ends_with(end) || text.size() < begin.size() + end.size())
    return std::string(text);
  auto plain = from_base64(text.substr(begin.size(), text.size() - begin.size() - end.size()));
  return plain ? std::move(*plain) : std::string(text);
}

// --- texts ------------------------------------------------------------------------------------------

std::string to_query_string(const std::vector<sigv4::name_value>& query) {
  std::string out;
  for (const auto& [name, value] : query)
    out.append(out.empty() ? "?" : "&").append(uri_encode(name)).append("=").append(uri_encode(value));
  return out;
}

std::string aws_chunk_head(std::uint64_t bytes) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, bytes, 16).ptr;
  return std::string(digits, end) + "\r\n";
}

std::string aws_chunked_end(std::uint32_t crc32c) {
  return "0\r\n" + std::string(aws_checksum_trailer) + ":" + crc32c_base64(crc32c) + "\r\n\r\n";
}

std::uint64_t aws_chunked_length(std::uint64_t size) {
  const auto framed = [](std::uint64_t n) { return aws_chunk_head(n).size() + n + 2; };
  const auto whole = size / aws_chunk_size, rest = size % aws_chunk_size;
  return whole * framed(aws_chunk_size) + (rest ? framed(rest) : 0) + aws_chunked_end(0).size();
}

} // namespace postern
