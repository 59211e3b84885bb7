// Prints a configuration as TOML, from the table that reads it. Pure.
#pragma once

#include <postern/app/config/config.hpp>

#include <string>

namespace postern::app {

// Every setting with its value, one on each line: server.demo = false. A secret that is set is printed as "***", and a
// database URL without its password.
std::string to_toml(const config& c);

// Every setting with its default.
std::string default_settings();

} // namespace postern::app
