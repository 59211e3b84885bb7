// Private to app: what a node logs when it starts, and after it has reloaded its configuration.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/stores/stores.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace postern::app {

void log_start(const config& c, std::size_t threads, const stores& backends);

// Warns when anybody may sign, or nobody.
void log_who_may_sign(const config& c);

std::string listed(const std::vector<std::string>& names); // "a, b, c"

} // namespace postern::app
