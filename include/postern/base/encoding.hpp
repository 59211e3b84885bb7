// Text forms of bytes, each as the protocols want it.
#pragma once

#include <postern/base/error.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace postern {

// Lower-case hex.
std::string to_hex(std::span<const unsigned char> bytes);
// errc::bad_request when not an even number of hex digits. Either case.
result<std::string> from_hex(std::string_view hex);

// RFC 4648 §4, padded.
std::string to_base64(std::string_view bytes);
// Takes padded or unpadded text; errc::bad_request on anything else, blanks and line ends included.
result<std::string> from_base64(std::string_view text);
// RFC 4648 §5, unpadded; what stands in URLs.
std::string to_base64url(std::string_view bytes);
result<std::string> from_base64url(std::string_view text);

// Percent-encoding as AWS wants it (Signature Version 4, "UriEncode"): all but A-Z a-z 0-9 - . _ ~ is
// %XX in capitals; a slash stays where keep_slash is said.
std::string uri_encode(std::string_view bytes, bool keep_slash = false);
// %XX to bytes; with plus_is_space, + to a space. errc::bad_request on a broken escape.
result<std::string> uri_decode(std::string_view text, bool plus_is_space = false);
// The value of a parameter in a query string ("a=1&b=2"), decoded with + as a space; first one wins; nothing when
// absent or broken.
result<std::string> query_parameter(std::string_view query, std::string_view name);

// The five characters of XML escaped; other control characters (not allowed in XML 1.0) become U+FFFD.
std::string xml_escape(std::string_view text);
// For text and double-quoted attributes in HTML.
std::string html_escape(std::string_view text);

} // namespace postern
