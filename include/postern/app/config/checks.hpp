// The rules that a configuration must meet as a whole: what each value may be, and which values fit together.
#pragma once

#include <postern/app/config/config.hpp>

namespace postern::app {

// Fills in what follows from other settings: a profile's bucket, and the server's secret in var/secret. Throws
// config_error.
void complete_and_check(config& c);

// Throws config_error when no API key can have this name.
void check_api_key_name(std::string_view name);

} // namespace postern::app
