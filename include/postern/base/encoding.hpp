// Text forms of bytes, each as the protocols want it.
#pragma once

#include <postern/base/dates.hpp>
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

// An absolute http or https URL of visible ASCII, which may stand in a header field or an attribute once that is
// escaped.
bool is_web_url(std::string_view text);

std::string lower(std::string_view ascii);            // A-Z to a-z, other bytes unchanged
bool iequals(std::string_view a, std::string_view b); // ASCII case folded
// The length in bytes of the well-formed character that `text` begins with; 0 when it begins with none.
std::size_t utf8_sequence(std::string_view text);
bool is_utf8(std::string_view text); // well-formed, no surrogates, no overlong forms (RFC 3629)
// Letters, digits, dots, hyphens and underscores alone, and at least one: what may stand in a header field's name, a
// path or a host as it is.
bool is_plain_name(std::string_view text);

// Takes the same time wherever the first difference is; false at once when the lengths differ (a length is no secret
// here).
bool equal_constant_time(std::string_view a, std::string_view b);

// UUID version 7 (RFC 9562 §5.7) in its text form from the time and ten random bytes.
std::string uuid_v7(millis_clock t, std::span<const unsigned char, 10> random);
// The same with random bytes from the operating system's generator.
std::string new_uuid_v7(millis_clock t);
// Is this the text form of a UUID, lower case?
bool is_uuid(std::string_view text);
// The moment that a UUID of version 7 holds (RFC 9562 §5.7). `text` must be one that is_uuid says yes to.
millis_clock time_of_uuid_v7(std::string_view text);

// Bytes from the operating system's generator (OpenSSL RAND_bytes); aborts the program where there are none.
void random_bytes(std::span<unsigned char> into);

} // namespace postern
