#include "settings.hpp"
#include <postern/app/config/print_config.hpp>

namespace postern::app {
namespace {

template <class Object>
void append(std::string& out, const std::string& prefix, const settings_of<Object>& settings, const Object& of) {
  for (const auto& s : settings) out.append(prefix).append(s.name).append(" = ").append(s.write(of)).append("\n");
}

} // namespace

std::string to_toml(const config& c) {
  std::string out;
  append(out, "", config_settings(), c);
  for (const auto& [name, profile] : c.profiles)
    append(out, "profiles." + toml_key(name) + ".", profile_settings(), profile);
  return out;
}

std::string default_settings() {
  config c;
  c.profiles["default"].name = "default";
  return to_toml(c);
}

} // namespace postern::app
