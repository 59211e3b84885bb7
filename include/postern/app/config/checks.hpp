// Does a configuration make sense as a whole? What each value may be, and which of them go together.
#pragma once

#include <postern/app/config/config.hpp>

namespace postern::app {

// Fills in what follows from other settings (a profile's bucket, the server's secret when none is named, which is made
// at first) and throws config_error naming the setting that is wrong, and how it must be.
void complete_and_check(config& c);

} // namespace postern::app
