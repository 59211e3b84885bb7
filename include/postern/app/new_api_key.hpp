// A new API key, and what the configuration has of it.
#pragma once

#include <string>
#include <string_view>

namespace postern::app {

struct new_api_key {
  std::string key;  // 32 random bytes in hex
  std::string toml; // one element of the list auth.api_keys; it has the key's SHA-256 only
};

// Throws config_error when no API key can have this name.
new_api_key make_api_key(std::string_view name);

} // namespace postern::app
