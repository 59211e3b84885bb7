// Opening a file that the configuration names, so that an error can say why it cannot be read.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

namespace postern::app {

// Opens the file in `into`. Returns the system's reason when this user cannot read it ("Permission denied", "Is a
// directory"), else nothing.
std::string open_to_read(std::ifstream& into, const std::filesystem::path& file);

} // namespace postern::app
