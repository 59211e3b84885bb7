// Text forms of bytes, as the protocols define them. Pure functions.
#pragma once

#include <postern/base/error.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace postern {

// Lower-case hex.
std::string to_hex(std::span<const unsigned char> bytes);
// Accepts either case. errc::bad_request: not an even number of hex digits.
result<std::string> from_hex(std::string_view hex);

// RFC 4648 §4, padded.
std::string to_base64(std::string_view bytes);
// Accepts padded and unpadded text. errc::bad_request: any other character, blanks and line ends included.
result<std::string> from_base64(std::string_view text);
// RFC 4648 §5, unpadded: the form for URLs.
std::string to_base64url(std::string_view bytes);
result<std::string> from_base64url(std::string_view text);

// Percent-encoding as AWS defines it (Signature Version 4, "UriEncode"): every byte except A-Z a-z 0-9 - . _ ~ becomes
// %XX in capitals. With `keep_slash`, slashes stay.
std::string uri_encode(std::string_view bytes, bool keep_slash = false);
// Decodes %XX; with `plus_is_space`, + becomes a space. errc::bad_request: a broken escape.
result<std::string> uri_decode(std::string_view text, bool plus_is_space = false);
// The value of a parameter in a query string ("a=1&b=2"), decoded with + as a space. The first of several counts.
// errc::not_found: it is absent. errc::bad_request: its encoding is broken.
result<std::string> query_parameter(std::string_view query, std::string_view name);

// Escapes XML's five characters. Control characters that XML 1.0 forbids become U+FFFD.
std::string xml_escape(std::string_view text);
// Escapes text for HTML, also inside double-quoted attributes.
std::string html_escape(std::string_view text);

} // namespace postern
