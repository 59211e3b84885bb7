// The headers of one part of a form (RFC 7578 §4.2, as browsers and curl really write them). Pure.
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

// Reads a part's header lines, separated by CRLF, without the empty line at the end. A backslash in a quoted string
// escapes only a quote: old browsers send whole Windows paths as they are. filename* (RFC 5987, UTF-8) is used where
// there is no filename. errc::malformed_form says what is wrong.
result<part_header> read_part_header(std::string_view block);

} // namespace postern
