// The doctor: tries, in the order in which one thing needs the other, all that a running Postern needs, and says what
// is wrong and how to mend it. One thread, one loop; every wait has an end; nothing that it makes remains.
#pragma once

#include <postern/app/config/config.hpp>

#include <functional>
#include <string>

namespace postern::app {

// `load` reads the configuration: that is the first thing tried. `with_config` is how the commands that are prescribed
// name it (" --config F", or nothing). Answers the program's exit code.
int examine(const std::function<config()>& load, const std::string& with_config);

} // namespace postern::app
