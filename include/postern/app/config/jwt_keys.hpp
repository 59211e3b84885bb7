// The keys for tokens that stand in the configuration.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/core/http/jwt.hpp>
#include <postern/core/http/url.hpp>

#include <vector>

namespace postern::app {

// Throws config_error with the number of the key that is wrong; never shows a key. Keys from a URL are not among them.
std::vector<token_key> read_token_keys(const config::jwt_section& jwt);

// The server of auth.jwt.keys when it is a URL: https, or http to this machine. Throws config_error.
web_url token_keys_url(const config::jwt_section& jwt);

} // namespace postern::app
