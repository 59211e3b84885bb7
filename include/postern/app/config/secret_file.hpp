// Secrets that the configuration keeps in files of their own.
#pragma once

#include <postern/base/log.hpp>

#include <filesystem>

namespace postern::app {

// The server's secrets and the token of events have at least this many bytes.
constexpr std::size_t min_secret = 16;

// The content of the file without the line end, at most 4096 bytes. With `make`, a missing file is created with 32
// random bytes in hex and mode 0600 (when several processes do so at once, all get the same secret), and a secret of
// fewer than min_secret bytes is an error. Throws config_error with the file's name.
secret read_secret_file(const std::filesystem::path& file, bool make);

} // namespace postern::app
