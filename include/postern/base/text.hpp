// Plain text: case, blanks, numbers, UTF-8, and plain names. Pure functions; "ASCII" means that only ASCII letters
// change; all other bytes stay.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

std::string lower(std::string_view ascii);            // A-Z to a-z, other bytes unchanged
bool iequals(std::string_view a, std::string_view b); // equal when the case of ASCII letters is ignored

// `text` without the characters of `blanks` at both ends, or at its end alone. The default is HTTP's optional
// whitespace (RFC 9110 §5.6.3), which has no line ends. A view into `text`.
std::string_view trim(std::string_view text, std::string_view blanks = " \t");
std::string_view trim_end(std::string_view text, std::string_view blanks = " \t");

// The value of a decimal number. Nothing when `text` is empty, contains anything but digits (a sign, a blank), or does
// not fit into 64 bits.
std::optional<std::uint64_t> parse_number(std::string_view text);

// The length in bytes of the well-formed character that `text` begins with; 0 when it begins with none.
std::size_t utf8_sequence(std::string_view text);
// Is the text well-formed UTF-8: no surrogates, no overlong forms (RFC 3629)?
bool is_utf8(std::string_view text);
// Whether the text is one or more letters, digits, dots, hyphens and underscores. Such a text needs no escaping in the
// name of a header field, a path or a host.
bool is_plain_name(std::string_view text);
// Can the text stand alone between two slashes of an object key? `not_a_key_part` says why other texts cannot. S3 would
// replace ${filename}.
bool is_key_part(std::string_view text);
inline constexpr std::string_view not_a_key_part =
    "it is empty, . or .., or contains a slash, a backslash, a control character or ${";
// Why a text from outside, such as the name of a user, cannot stand there: the end of a sentence that begins with what
// the text is. Empty when it can.
std::string why_no_key_part(std::string_view text);
inline constexpr std::size_t max_key_part = 200; // bytes
// Can this be the name of a region: 1 to 63 letters, digits and hyphens? Such a name is one label of a host. OpenStack
// and Ceph use capitals: "RegionOne".
bool is_region_name(std::string_view text);

} // namespace postern
