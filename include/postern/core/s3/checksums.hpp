// The checksums that come with a file, computed while its bytes pass and compared after the last one. Owned by one
// transfer. Pure.
#pragma once

#include <postern/base/digest.hpp>
#include <postern/base/error.hpp>
#include <postern/core/s3/policy.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

// The form field of a checksum: x-amz-checksum-ALGORITHM, or Content-MD5. `algorithm` is crc32, crc32c, crc64nvme,
// sha1, sha256 or md5. errc::invalid_argument: another one, or not base64 of the right length.
result<form_field> checksum_field(std::string_view algorithm, std::string_view base64);

// The checksums that a form announces for its file: Content-MD5, and one of x-amz-checksum-crc32, -crc32c, -crc64nvme,
// -sha1, -sha256, as S3 has it. Only announced checksums are computed.
class checksums {
public:
  // errc::invalid_argument: not base64 of the right length, an unknown algorithm, or a second x-amz-checksum field.
  static result<checksums> read(const std::vector<form_field>& fields);

  bool empty() const { return announced_.empty(); }
  void add(std::span<const char> piece);
  result<void> check(); // errc::bad_digest; once, after the last piece

private:
  struct announced_checksum {
    std::string name, expected;
    running_digest digest;
  };
  std::vector<announced_checksum> announced_;
};

} // namespace postern
