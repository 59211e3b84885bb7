// Private to app/doctor: the objects that checks put and remove again. probes.cpp has the functions.
#pragma once

#include <postern/app/doctor/findings.hpp>
#include <postern/core/profile.hpp>
#include <postern/io/store.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace postern::app {

constexpr std::string_view probe_contents = "postern doctor was here\n";

// A key by the profile's template, so that permissions for the profile's keys are enough. std::nullopt: the template
// gives one key to all uploads, and a probe would replace one of them.
std::optional<std::string> probe_key(const profile& rules);
finding fixed_key(const profile& rules); // says so
finding not_removed(const object_name& name, const std::string& why);

} // namespace postern::app
