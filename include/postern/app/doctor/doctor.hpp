// `postern doctor`: tries everything that a running Postern needs, each thing after the things that it depends on.
// Prints what is wrong and what to do about it. It runs on one thread with one loop, every wait has a deadline, and
// everything that it creates is removed again.
#pragma once

#include <postern/app/config/config.hpp>

#include <functional>
#include <string>

namespace postern::app {

// `load` reads the configuration, which is the first check. `config_option` is how the commands that are recommended
// name the configuration: " --config F", or empty. Returns the program's exit code.
int examine(const std::function<config()>& load, const std::string& config_option);

} // namespace postern::app
