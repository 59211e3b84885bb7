// Secrets that the configuration keeps in files of their own.
#pragma once

#include <postern/base/log.hpp>

#include <cstddef>
#include <filesystem>

namespace postern::app {

// The server's secrets and the token of events have at least this many bytes.
constexpr std::size_t min_secret = 16;

// The only file of a server's secret that the program makes. Any other one must exist.
inline constexpr const char* default_secret_file = "var/secret";

// The content of the file without the line end, at most `max` bytes. Throws config_error with the file's name.
constexpr std::size_t max_secret_file = 4096;
secret read_secret_file(const std::filesystem::path& file, std::size_t max = max_secret_file);

// The same for one of server.secrets: a missing file and fewer than min_secret bytes are errors, with the command that
// makes a secret. Empty: default_secret_file does not exist yet.
secret read_server_secret(const std::filesystem::path& file);

// Creates default_secret_file with a random secret and mode 0600. When several processes do so at once, all get the
// same secret. Throws config_error with the reason.
void make_default_secret_file();

// 32 random bytes in hex.
secret random_secret();

} // namespace postern::app
