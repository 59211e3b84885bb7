// The headers of one part of a form (RFC 7578 §4.2, in the forms that browsers and curl write), and parameters of
// header fields. Pure.
#pragma once

#include <postern/base/error.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace postern {

// A parameter of a header field, such as filename="a.png".
struct header_parameter {
  std::string name; // in lower case
  std::string value;
};

// Removes `; name=value` from the front of `rest`, with the blanks around it. The value can be a token or a quoted
// string. A backslash in a quoted string escapes only a quote, because old browsers send whole Windows paths. Nothing:
// `rest` begins with anything else.
std::optional<header_parameter> take_parameter(std::string_view& rest);

// The value of a parameter like filename* (RFC 8187), such as UTF-8''na%20me. Nothing: it is not in UTF-8, or is
// broken.
std::optional<std::string> extended_value(std::string_view text);

struct part_header {
  std::string name;
  std::string filename;     // empty when there is none
  std::string content_type; // empty when there is none
};

// Parses a part's header lines, separated by CRLF, without the empty line at the end. filename* counts if there is no
// filename. errc::malformed_form says what is wrong.
result<part_header> read_part_header(std::string_view block);

} // namespace postern
