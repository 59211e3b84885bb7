// Which settings differ between two configurations, and which of them a running node can take. Pure.
#pragma once

#include <postern/app/config/config.hpp>

#include <string>
#include <vector>

namespace postern::app {

struct changed_settings {
  std::vector<std::string> reloadable; // SIGHUP puts them into force
  std::vector<std::string> need_restart;
};

// The names of the settings: "log.level", "profiles.images.max_size", "webhooks".
changed_settings find_changes(const config& before, const config& after);

} // namespace postern::app
