// The XML in an answer of S3 or STS. One rule for all readers: a document is read whole or not at all. Pure.
#pragma once

#include <pugixml.hpp>
#include <string_view>

namespace postern {

// Parses `text` as UTF-8 into `document` and returns its one element. Empty: the text is no XML, was cut off, or has
// anything but comments and blanks around one element. The element lives as long as `document`.
pugi::xml_node read_xml(pugi::xml_document& document, std::string_view text);

} // namespace postern
