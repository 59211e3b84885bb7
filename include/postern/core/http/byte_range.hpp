// Ranges of a GET request (RFC 9110 §14): which bytes of an object the client asks for. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

// What to send of an object.
struct byte_range {
  enum class answer {
    whole,   // 200: there is no Range field, or one that a server may ignore
    part,    // 206
    outside, // 416: the object has none of these bytes
  } as = answer::whole;
  std::uint64_t first = 0, length = 0; // for `outside`: 0

  bool operator==(const byte_range&) const = default;
};

// Reads "bytes=0-99", "bytes=100-" or "bytes=-100" for an object of `size` bytes. Other units, several ranges, and a
// field that does not follow RFC 9110 are ignored, as the RFC allows or requires. Empty: there is no Range field.
byte_range choose_range(std::string_view field, std::uint64_t size);

// Content-Range for a part ("bytes 0-99/1234"), or for `outside` ("bytes */1234").
std::string content_range(const byte_range& r, std::uint64_t size);

// Whether a Range field counts beside this If-Range field (RFC 9110 §13.1.5), for an object with this ETag (without
// quotes) and no Last-Modified. The comparison is strong. Empty: there is no If-Range field.
bool allows_range(std::string_view if_range, std::string_view etag);

} // namespace postern
