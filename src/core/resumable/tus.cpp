#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/resumable/tus.hpp>
#include <postern/core/s3/checksums.hpp>

#include <algorithm>
#include <array>
#include <limits>

namespace postern::tus {
namespace {

using pairs = std::vector<std::pair<std::string, std::string>>;

constexpr std::uint64_t max_number = std::numeric_limits<std::int64_t>::max();

failure bad(std::string what) { return failure{errc::bad_request, std::move(what)}; }

result<std::uint64_t> read_number(std::string_view name, std::string_view text) {
  const auto n = parse_number(text);
  if (!n || *n > max_number)
    return bad(std::string(name) + " must be a number of bytes, at most " + std::to_string(max_number) + ", not " +
               quote(text));
  return *n;
}

// The length of a new file. Nothing: the client declares it later.
result<std::optional<std::uint64_t>> read_length(const fields& f) {
  if (f.upload_length.empty() == f.upload_defer_length.empty())
    return bad("exactly one of Upload-Length and Upload-Defer-Length is needed");
  if (f.upload_length.empty()) {
    if (f.upload_defer_length != "1") return bad("Upload-Defer-Length must be 1, not " + quote(f.upload_defer_length));
    return std::optional<std::uint64_t>();
  }
  auto length = read_number("Upload-Length", f.upload_length);
  if (!length) return length.error();
  return std::optional(*length);
}

// "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=". Nothing: the field is absent.
result<std::optional<form_field>> read_checksum(std::string_view field) {
  if (field.empty()) return std::optional<form_field>();
  const auto space = std::min(field.find(' '), field.size());
  const auto algorithm = field.substr(0, space);
  constexpr std::array<std::string_view, 3> known{"sha1", "sha256", "crc32c"};
  if (std::find(known.begin(), known.end(), algorithm) == known.end())
    return bad("Upload-Checksum: " + quote(algorithm) + " is not one of: " + std::string(checksum_algorithms));
  auto checksum = checksum_field(algorithm, field.substr(std::min(space + 1, field.size())));
  if (!checksum) return bad("Upload-Checksum: " + checksum.error().on);
  return std::optional(std::move(*checksum));
}

failure wrong_type(std::string_view type) {
  return {errc::unsupported_type, "the body's type must be " + std::string(body_type) + ", not " + quote(type)};
}

// The pairs with their names in lower case.
result<pairs> with_lower_names(const pairs& metadata) {
  pairs out;
  for (const auto& [name, value] : metadata) {
    auto lowered = lower(name);
    if (std::any_of(out.begin(), out.end(), [&](const auto& p) { return p.first == lowered; }))
      return bad("metadata " + quote(name) + " is there twice; the case of names does not count");
    out.emplace_back(std::move(lowered), value);
  }
  return out;
}

// Takes the pair out of `metadata`. Empty when there is none.
std::string take(pairs& metadata, std::string_view name) {
  const auto found = std::find_if(metadata.begin(), metadata.end(), [&](const auto& p) { return p.first == name; });
  if (found == metadata.end()) return {};
  auto value = std::move(found->second);
  metadata.erase(found);
  return value;
}

} // namespace

result<pairs> read_metadata(std::string_view field) {
  if (field.size() > max_metadata_field)
    return bad("Upload-Metadata is longer than " + std::to_string(max_metadata_field) + " bytes");
  pairs out;
  for (bool has_more = !field.empty(); has_more;) {
    const auto comma = field.find(',');
    has_more = comma != field.npos;
    // Blanks around a pair: a proxy joins two fields with ", ", and clients write "name " before an empty value.
    const auto pair = trim(field.substr(0, comma));
    field.remove_prefix(has_more ? comma + 1 : field.size());
    const auto space = std::min(pair.find(' '), pair.size());
    const auto name = pair.substr(0, space), base64 = pair.substr(std::min(space + 1, pair.size()));
    if (name.empty()) return bad("Upload-Metadata has a pair without a name");
    if (std::any_of(out.begin(), out.end(), [&](const auto& p) { return p.first == name; }))
      return bad("Upload-Metadata has " + quote(name) + " twice");
    if (out.size() == max_metadata_pairs)
      return bad("Upload-Metadata has more than " + std::to_string(max_metadata_pairs) + " pairs");
    auto value = from_base64(base64);
    if (!value || base64.size() % 4 != 0) return bad("Upload-Metadata: the value of " + quote(name) + " is not base64");
    out.emplace_back(name, std::move(*value));
  }
  return out;
}

result<creation> read_creation(const fields& f) {
  if (!f.upload_concat.empty())
    return bad("concatenation is not supported here; send the file as one upload, without Upload-Concat");
  creation out;
  auto length = read_length(f);
  if (!length) return length.error();
  out.length = *length;
  auto metadata = read_metadata(f.upload_metadata);
  if (!metadata) return metadata.error();
  out.metadata = std::move(*metadata);
  out.has_body = type_matches(body_type, f.content_type);
  if (!out.has_body && !f.content_type.empty()) return wrong_type(f.content_type);
  auto checksum = read_checksum(f.upload_checksum);
  if (!checksum) return checksum.error();
  out.checksum = std::move(*checksum);
  return out;
}

result<append> read_append(const fields& f, std::optional<std::uint64_t> announced) {
  if (!type_matches(body_type, f.content_type)) return wrong_type(f.content_type);
  append out;
  auto offset = read_number("Upload-Offset", f.upload_offset);
  if (!offset) return offset.error();
  out.what.offset = *offset;
  out.what.announced = announced;
  if (!f.upload_length.empty()) {
    auto length = read_number("Upload-Length", f.upload_length);
    if (!length) return length.error();
    out.what.length = *length;
  }
  auto checksum = read_checksum(f.upload_checksum);
  if (!checksum) return checksum.error();
  out.checksum = std::move(*checksum);
  return out;
}

result<sign_request> sign_request_of(const creation& c) {
  auto metadata = with_lower_names(c.metadata);
  if (!metadata) return metadata.error();
  sign_request out;
  out.size = c.length;
  const auto filename = take(*metadata, "filename"), name = take(*metadata, "name");
  out.filename = !filename.empty() ? filename : !name.empty() ? name : unnamed_file;
  if (!is_utf8(out.filename) || out.filename.size() > max_filename)
    return bad("metadata \"filename\" or \"name\" must be UTF-8 of at most " + std::to_string(max_filename) + " bytes");
  for (auto& type : {take(*metadata, "filetype"), take(*metadata, "type")})
    if (!out.content_type && is_content_type(type)) out.content_type = type;
  for (const auto& [key, value] : *metadata)
    if (auto added = add_metadata(out.metadata, key, value); !added) return added.error();
  return out;
}

} // namespace postern::tus
