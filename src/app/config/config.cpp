#include "settings.hpp"
#include <postern/app/config/checks.hpp>
#include <postern/app/config/config.hpp>
#include <postern/app/config/spelling.hpp>
#include <postern/app/config/text_file.hpp>
#include <postern/base/text.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

namespace postern::app {
namespace {

// The environment has the fault. The message names the variable, and the file's name would mislead.
struct environment_error : config_error {
  using config_error::config_error;
};

std::vector<std::string> known_paths(const config& c) {
  auto known = names_of(config_settings());
  for (const auto& [name, p] : c.profiles)
    for (const auto& s : profile_settings()) known.push_back("profiles." + name + "." + std::string(s.name));
  return known;
}

// --- applying settings ------------------------------------------------------------------------------

// profiles.NAME.KEY
bool apply_to_profile(config& c, const std::string& path, const source& s) {
  const auto dot = path.rfind('.');
  const auto name = path.substr(9, dot > 9 ? dot - 9 : 0);
  const auto* known = find_setting(profile_settings(), std::string_view(path).substr(dot + 1));
  if (name.empty() || !known) return false;
  auto& p = c.profiles[name];
  p.name = name;
  known->read(p, s);
  return true;
}

// `place` names the setting to people: its path and line, or the environment variable.
void apply(config& c, const std::string& path, const std::string& place, const source& s) {
  bool is_known = false;
  try {
    if (path.starts_with("profiles.")) {
      is_known = apply_to_profile(c, path, s);
    } else if (const auto* known = find_setting(config_settings(), path)) {
      known->read(c, s);
      is_known = true;
    }
  } catch (const config_error& e) {
    throw config_error(place + ": " + e.what());
  }
  if (is_known) return;
  throw config_error(place + ": unknown setting" + suggestion(path, known_paths(c)));
}

// Descends into tables until it reaches settings. The value of a setting can itself be a table: tags, { file = … }.
void apply_table(config& c, const toml::table& table, const std::string& prefix, const environment_map& environment) {
  for (const auto& [name, node] : table) {
    const auto path = prefix + std::string(name.str());
    const bool is_setting = find_setting(config_settings(), path) ||
                            (path.starts_with("profiles.") && std::count(path.begin(), path.end(), '.') >= 2);
    const auto* inner = node.as_table();
    if (inner && !is_setting) {
      if (prefix == "profiles.") c.profiles[std::string(name.str())].name = name.str();
      apply_table(c, *inner, path + ".", environment);
    } else {
      const auto line = node.source().begin.line;
      apply(c, path, path + (line ? " (line " + std::to_string(line) + ")" : ""), {node, environment});
    }
  }
}

// --- the environment --------------------------------------------------------------------------------

// Collects the NAME of each { env = "NAME" }.
void find_named_variables(const toml::node& n, std::vector<std::string>& names) {
  if (const auto* table = n.as_table()) {
    if (const auto* env = table->get("env"); env && env->is_string()) names.push_back(*env->value<std::string>());
    for (const auto& [name, node] : *table) find_named_variables(node, names);
  }
  if (const auto* items = n.as_array())
    for (const auto& item : *items) find_named_variables(item, names);
}

// POSTERN_STORE__BUCKET is store.bucket.
std::string path_of(std::string_view variable) {
  std::string path;
  for (auto rest = lower(variable.substr(8)); !rest.empty();) {
    const auto at = rest.find("__");
    path += (path.empty() ? "" : ".") + rest.substr(0, at);
    rest = at == rest.npos ? "" : rest.substr(at + 2);
  }
  return path;
}

// A variable of the environment that is a setting.
struct variable {
  std::string name, path, text;
  toml::table holder; // the value has the name "v"
  // The column where the text stops being TOML, if it begins like a list or a table and is none.
  std::optional<std::size_t> broken_at;
};

// The text is read as TOML when it is TOML ("true", "[…]", "{…}", a number), else as a string: 127.0.0.1:8080 begins
// like a number, and [::1]:8080 like a list.
variable read_variable(const std::string& name, const std::string& text) {
  variable v{name, path_of(name), text, {}, {}};
  const auto first = text.empty() ? '\0' : text.front();
  constexpr std::string_view before = "v = ";
  try {
    if (std::string_view("[{0123456789").find(first) != std::string_view::npos || text == "true" || text == "false")
      v.holder = toml::parse(std::string(before) + text);
  } catch (const toml::parse_error& e) {
    const std::size_t column = e.source().begin.column;
    if (first == '[' || first == '{') v.broken_at = column > before.size() ? column - before.size() : 1;
  }
  if (!v.holder.contains("v")) v.holder.insert_or_assign("v", text);
  return v;
}

// Throws the error of this variable's value. `why` quotes the value unless it may be a secret.
[[noreturn]] void reject(const variable& v, const std::string& why) {
  if (!v.broken_at) throw environment_error(v.name + why);
  const bool is_list = v.text.front() == '[';
  const std::string example = v.path == "webhooks"        ? "[{ url = \"https://…\", secret = \"…\" }]"
                              : v.path == "stores"        ? "[{ name = \"archive\", type = \"s3\", bucket = \"…\" }]"
                              : v.path == "auth.api_keys" ? "[{ name = \"app\", sha256 = \"…\" }]"
                              : is_list                   ? "[\"first\", \"second\"]"
                                                          : "{ name = \"value\" }";
  throw environment_error(v.name + ": the text begins like a TOML " + (is_list ? "list" : "table") +
                          " but is none (see column " + std::to_string(*v.broken_at) + "); write it like " + example +
                          ". Read as a string" + why);
}

// Kubernetes gives each container POSTERN_PORT, POSTERN_SERVICE_HOST and others for a Service named postern. So only a
// name with two underscores must be a setting, and the names of the settings that are in no section: POSTERN_WEBHOOKS,
// POSTERN_STORES.
bool is_meant_for_postern(const std::string& variable) {
  return variable.find("__") != variable.npos || find_setting(config_settings(), path_of(variable));
}

// The variables that begin with POSTERN_.
struct own_variables {
  std::vector<variable> settings;
  std::vector<std::string> others; // neither settings nor secrets that a setting names
};

// When a setting names a variable with { env = … }, that variable holds a secret and is not a setting itself.
own_variables variables_in(const environment_map& environment, std::vector<std::string> named) {
  own_variables found;
  for (const auto& [name, text] : environment) {
    if (!name.starts_with("POSTERN_")) continue;
    if (!is_meant_for_postern(name)) {
      found.others.push_back(name);
      continue;
    }
    found.settings.push_back(read_variable(name, text));
    find_named_variables(found.settings.back().holder, named);
  }
  const auto is_named = [&](const std::string& name) {
    return std::find(named.begin(), named.end(), name) != named.end();
  };
  std::erase_if(found.settings, [&](const variable& v) { return is_named(v.name); });
  std::erase_if(found.others, is_named);
  return found;
}

void apply_environment(config& c, const std::vector<variable>& variables, const environment_map& environment) {
  for (const auto& v : variables) try {
      apply(c, v.path, "", {*v.holder.get("v"), environment});
    } catch (const config_error& e) {
      reject(v, e.what());
    }
}

// Checks the whole. If a variable gave the setting that is wrong, the error names the variable. If settings of one
// section do not fit together, the error names the variables that gave some of them.
void check_all(config& c, const std::vector<variable>& variables) {
  try {
    complete_and_check(c);
  } catch (const config_error& e) {
    const std::string text = e.what(), setting = text.substr(0, text.find_first_of(":,"));
    std::string in_section;
    for (const auto& v : variables) {
      if (v.path == setting || setting.starts_with(v.path + ".")) reject(v, text.substr(v.path.size()));
      if (v.path.starts_with(setting + ".")) in_section.append(in_section.empty() ? "" : ", ").append(v.name);
    }
    if (in_section.empty()) throw;
    throw config_error(text + " (the environment has " + in_section + ")");
  }
}

config read(const toml::table& table, const char* const* environment_block) {
  environment_map environment;
  for (auto e = environment_block; e && *e; ++e)
    if (const auto* equals = std::strchr(*e, '=')) environment.emplace(std::string(*e, equals), equals + 1);
  config c;
  c.profiles["default"].name = "default";
  apply_table(c, table, "", environment);
  std::vector<std::string> named;
  find_named_variables(table, named);
  auto variables = variables_in(environment, std::move(named));
  apply_environment(c, variables.settings, environment);
  check_all(c, variables.settings);
  for (const auto& v : variables.settings) c.variables.emplace(v.path, v.name);
  c.other_variables = std::move(variables.others);
  c.environment = std::move(environment);
  return c;
}

} // namespace

bool config::store_section::names_bucket(std::string_view wanted) const {
  return wanted == bucket || std::find(other_buckets.begin(), other_buckets.end(), wanted) != other_buckets.end();
}

std::string config::store_section::setting(std::string_view of) const {
  return (name.empty() ? "store." : "stores." + name + ".") + std::string(of);
}

std::string config::store_section::header(std::string_view subsection) const {
  const auto section = (name.empty() ? "store" : "stores") + (subsection.empty() ? "" : "." + std::string(subsection));
  if (name.empty()) return "[" + section + "]";
  return (subsection.empty() ? "[[" + section + "]]" : "[" + section + "]") + "  # that with name = \"" + name + "\"";
}

const config::store_section* config::find_store(std::string_view name) const {
  if (name.empty()) return &store;
  const auto found = std::find_if(stores.begin(), stores.end(), [&](const auto& s) { return s.name == name; });
  return found == stores.end() ? nullptr : &*found;
}

const config::store_section* config::find_store_of_bucket(std::string_view bucket) const {
  for (const auto name : {bucket, std::string_view("*")}) {
    if (store.names_bucket(name)) return &store;
    for (const auto& s : stores)
      if (s.names_bucket(name)) return &s;
  }
  return nullptr;
}

std::string with_variable(const config& c, const std::string& error) {
  const auto end = std::min(error.find_first_of(":,"), error.size());
  const auto found = c.variables.find(error.substr(0, end));
  return found == c.variables.end() ? error : found->second + error.substr(end);
}

config parse_config(std::string_view toml, const char* const* environment) {
  try {
    return read(toml::parse(toml), environment);
  } catch (const toml::parse_error& e) {
    throw config_error("line " + std::to_string(e.source().begin.line) + ": " + std::string(e.description()));
  }
}

config load_config(const std::filesystem::path& file, const char* const* environment) {
  if (file.empty()) return parse_config("", environment);
  std::ifstream in;
  if (const auto why = open_to_read(in, file); !why.empty())
    throw config_error("the configuration file " + file.string() + " cannot be read: " + why +
                       "; name a file that this user may read");
  std::stringstream text;
  text << in.rdbuf();
  try {
    return parse_config(text.str(), environment);
  } catch (const environment_error&) {
    throw;
  } catch (const config_error& e) {
    throw config_error(file.string() + ": " + e.what());
  }
}

} // namespace postern::app
