#include "settings.hpp"
#include <postern/app/config/changes.hpp>

#include <algorithm>
#include <array>
#include <set>

namespace postern::app {
namespace {

// conf/README.md lists them too.
constexpr std::array<std::string_view, 4> reloadable{"auth.anonymous", "auth.api_keys", "log.level", "log.format"};
constexpr std::array<std::string_view, 2> reloadable_sections{"auth.jwt.", "auth.forward."};

// The files of a certificate can change while a server uses TLS. Whether it does so is decided at the start.
bool is_reloadable(std::string_view setting, const config& before, const config& after) {
  if (setting == "server.tls.certificate" || setting == "server.tls.key")
    return !before.server.tls_certificate.empty() && !after.server.tls_certificate.empty();
  for (const auto section : reloadable_sections)
    if (setting.starts_with(section)) return true;
  return std::find(reloadable.begin(), reloadable.end(), setting) != reloadable.end();
}

// A profile that exists in one configuration only has changed as a whole.
void find_changed_profiles(const config& before, const config& after, std::vector<std::string>& changed) {
  std::set<std::string> names;
  for (const auto* c : {&before, &after})
    for (const auto& [name, p] : c->profiles) names.insert(name);
  for (const auto& name : names) {
    const auto a = before.profiles.find(name), b = after.profiles.find(name);
    if (a == before.profiles.end() || b == after.profiles.end()) {
      changed.push_back("profiles." + name);
      continue;
    }
    for (const auto& s : profile_settings())
      if (!s.is_same(a->second, b->second)) changed.push_back("profiles." + name + "." + std::string(s.name));
  }
}

} // namespace

changed_settings find_changes(const config& before, const config& after) {
  changed_settings changed;
  for (const auto& s : config_settings())
    if (!s.is_same(before, after))
      (is_reloadable(s.name, before, after) ? changed.reloadable : changed.need_restart).emplace_back(s.name);
  find_changed_profiles(before, after, changed.need_restart);
  return changed;
}

} // namespace postern::app
