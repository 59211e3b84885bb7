// The rules for [[webhooks]] and for the accept hooks of profiles. Used once at start, on one thread.
#pragma once

#include <postern/app/config/config.hpp>

#include <string>
#include <string_view>

namespace postern::app {

// How error messages name a setting of a webhook: "webhooks, number 1, url". The first one has number 1.
std::string setting_of_webhook(std::size_t number, std::string_view key);

// Throws config_error.
void check_webhooks(const config& c);
void check_accept_hook(const profile& p);

} // namespace postern::app
