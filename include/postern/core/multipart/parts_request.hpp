// The bodies of the requests about the parts of a multipart upload (POST /v1/uploads/{id}/parts and …/parts/complete).
// Pure. JSON (RFC 8259).
#pragma once

#include <postern/base/error.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

inline constexpr std::size_t max_parts_asked = 100; // in one request

// A part for which the client asks a URL.
struct asked_part {
  int number = 0;                      // from 1 to max_parts
  std::optional<std::uint32_t> crc32c; // of its bytes
};

// {"parts": [1, 2], "checksums": {"1": "base64 of its CRC32C"}}: from 1 to max_parts_asked parts, each once; each
// checksum is of one of them. errc::bad_request says what is wrong.
result<std::vector<asked_part>> parse_parts_body(std::string_view body);

// {"parts": [{"number": 1, "etag": "…"}]}: the ETags by number, without quotes, of all parts; or {} or an empty body:
// an empty map, for whatever parts the store has. errc::bad_request says what is wrong.
result<std::map<int, std::string>> parse_complete_body(std::string_view body);

} // namespace postern
