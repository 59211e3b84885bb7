// The files of src/client, built into the program at compile time.
#pragma once

#include <optional>
#include <string_view>

namespace postern::front {

// The content of src/client/<name>; nothing when there is no such file. The view is valid until the program ends.
std::optional<std::string_view> client_file(std::string_view name);

} // namespace postern::front
