// The tables of all settings: name, how it is read, how it is written. Reading a configuration, printing it, and the
// check for unknown names all use them. To add a setting, add a member to its section in config.hpp and a line here.
#pragma once

#include "toml_values.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

// One setting of an Object: the whole configuration, a profile, an API key or a webhook.
template <class Object> struct setting {
  // `members` lead from the object to the value: &config::server, &config::server_section::listen.
  template <class Kind, class... Members>
  setting(std::string_view with_name, const Kind& kind, Members... members)
      : name(with_name), read([=](Object& o, const source& s) { kind.read(s, (o.*....*members)); }),
        write([=](const Object& o) { return kind.write((o.*....*members)); }),
        is_same([=](const Object& a, const Object& b) { return (a.*....*members) == (b.*....*members); }) {}

  // A setting of a member, under the member's name.
  template <class Member>
  setting(std::string_view section, const setting<Member>& one, Member Object::*member)
      : name(std::string(section) + "." + one.name), read([=](Object& o, const source& s) { one.read(o.*member, s); }),
        write([=](const Object& o) { return one.write(o.*member); }),
        is_same([=](const Object& a, const Object& b) { return one.is_same(a.*member, b.*member); }) {}

  std::string name; // with the sections: "server.listen"
  std::function<void(Object&, const source&)> read;
  std::function<std::string(const Object&)> write; // as TOML
  std::function<bool(const Object&, const Object&)> is_same;
};
template <class Object> using settings_of = std::vector<setting<Object>>;

// In the order in which they are printed.
const settings_of<config>& config_settings();
const settings_of<profile>& profile_settings();
const settings_of<config::api_key>& api_key_settings();
const settings_of<config::webhook_section>& webhook_settings();
const settings_of<config::store_section>& store_settings(); // without the name

// nullptr when there is none of that name.
template <class Object> const setting<Object>* find_setting(const settings_of<Object>& all, std::string_view name) {
  for (const auto& s : all)
    if (s.name == name) return &s;
  return nullptr;
}
template <class Object> std::vector<std::string> names_of(const settings_of<Object>& all) {
  std::vector<std::string> names;
  for (const auto& s : all) names.emplace_back(s.name);
  return names;
}

} // namespace postern::app
