// The files that AWS's tools share: ~/.aws/credentials and ~/.aws/config (AWS SDKs and Tools Reference Guide, "Shared
// config and credentials files"). Their text is a parameter. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

// By name. Names are in lower case and not empty. Names and values have no blanks at their ends and no line ends.
using shared_settings = std::map<std::string, std::string>;

// The settings in all sections [name] of one file; the last setting of a name counts. std::nullopt: there is no such
// section.
std::optional<shared_settings> section_of(std::string_view text, std::string_view name);

// The settings of a profile in the texts of both files; an absent file is an empty text. The credentials file takes
// precedence. std::nullopt: neither file has the profile.
std::optional<shared_settings> profile_settings(std::string_view credentials, std::string_view config,
                                                std::string_view profile);

} // namespace postern
