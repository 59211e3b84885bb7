// The [[webhooks]] of the configuration, checked. Called once at start, on one thread.
#pragma once

#include <postern/app/config/config.hpp>

#include <string>
#include <string_view>

namespace postern::app {

// How a setting of one of them is named to people; they count from 1.
std::string setting_of_webhook(std::size_t number, std::string_view key);

// Throws config_error naming which of them, what is wrong and the fix.
void check_webhooks(const config& c);

} // namespace postern::app
