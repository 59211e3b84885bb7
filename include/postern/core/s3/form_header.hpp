// The headers of one part of a form (RFC 7578 §4.2, in the forms that browsers and curl write). Pure.
#pragma once

#include <postern/base/error.hpp>

#include <string>
#include <string_view>

namespace postern {

struct part_header {
  std::string name;
  std::string filename;     // empty when there is none
  std::string content_type; // empty when there is none
};

// Parses a part's header lines, separated by CRLF, without the empty line at the end. A backslash in a quoted string
// escapes only a quote, because old browsers send whole Windows paths. filename* (RFC 5987, UTF-8) counts if there is
// no filename. errc::malformed_form says what is wrong.
result<part_header> read_part_header(std::string_view block);

} // namespace postern
