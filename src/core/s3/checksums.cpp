#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/s3/checksums.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace postern {
namespace {

struct known_checksum {
  std::string_view field;
  running_digest::kind how;
  std::size_t length; // in bytes
};
constexpr std::array<known_checksum, 6> known_checksums{
    {{"content-md5", running_digest::kind::md5, 16},
     {"x-amz-checksum-crc32", running_digest::kind::crc32, 4},
     {"x-amz-checksum-crc32c", running_digest::kind::crc32c, 4},
     {"x-amz-checksum-crc64nvme", running_digest::kind::crc64nvme, 8},
     {"x-amz-checksum-sha1", running_digest::kind::sha1, 20},
     {"x-amz-checksum-sha256", running_digest::kind::sha256, 32}}};

} // namespace

result<form_field> checksum_field(std::string_view algorithm, std::string_view base64) {
  const auto name = algorithm == "md5" ? std::string("content-md5") : "x-amz-checksum-" + std::string(algorithm);
  const auto known = std::find_if(known_checksums.begin(), known_checksums.end(),
                                  [&](const known_checksum& k) { return k.field == name; });
  if (known == known_checksums.end())
    return failure{errc::invalid_argument,
                   quote(algorithm) + " is not one of: crc32, crc32c, crc64nvme, sha1, sha256, md5"};
  const auto bytes = from_base64(base64);
  if (!bytes || bytes->size() != known->length)
    return failure{errc::invalid_argument, quote(base64) + " is not a " + std::string(algorithm) + " in base64"};
  return form_field{algorithm == "md5" ? "Content-MD5" : name, to_base64(*bytes)};
}

result<checksums> checksums::read(const std::vector<form_field>& fields) {
  checksums out;
  bool has_one = false; // an x-amz-checksum field
  for (const auto& f : fields) {
    const auto name = lower(f.name);
    if (name != "content-md5" && !name.starts_with("x-amz-checksum-")) continue;
    if (name == "x-amz-checksum-algorithm" || name == "x-amz-checksum-type")
      continue; // these fields name an algorithm and have no checksum
    const auto known = std::find_if(known_checksums.begin(), known_checksums.end(),
                                    [&](const known_checksum& k) { return k.field == name; });
    if (known == known_checksums.end())
      return failure{errc::invalid_argument,
                     "checksum " + quote(f.name) + " is not known here; crc32, crc32c, crc64nvme, sha1 and sha256 are"};
    auto bytes = from_base64(f.value);
    if (!bytes || bytes->size() != known->length)
      return failure{errc::invalid_argument, "field " + quote(f.name) + " is not a checksum in base64"};
    const bool is_second = name != "content-md5" && std::exchange(has_one, true);
    if (is_second)
      return failure{errc::invalid_argument,
                     "a form may have one x-amz-checksum field, " + quote(f.name) + " is a second"};
    out.announced_.push_back({f.name, std::move(*bytes), running_digest(known->how)});
  }
  return out;
}

void checksums::add(std::span<const char> piece) {
  for (auto& r : announced_) r.digest.add(piece);
}

result<void> checksums::check() {
  for (auto& r : announced_)
    if (r.digest.finish() != r.expected) return failure{errc::bad_digest, "field " + quote(r.name)};
  return {};
}

} // namespace postern
