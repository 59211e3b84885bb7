#include "toml_values.hpp"

#include <postern/app/config/settings.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>

namespace postern::app {

std::string text_of(const toml::node& n) {
  if (const auto s = n.value_exact<std::string>()) return *s;
  throw config_error("must be a string");
}

std::string text_or_number(const toml::node& n) {
  if (const auto i = n.value_exact<std::int64_t>(); i && *i >= 0) return std::to_string(*i);
  return text_of(n);
}

bool bool_of(const toml::node& n) {
  if (const auto b = n.value_exact<bool>()) return *b;
  throw config_error("must be true or false");
}

std::vector<std::string> texts_of(const toml::node& n) {
  std::vector<std::string> out;
  const auto* items = n.as_array();
  if (!items) return {text_of(n)};
  for (const auto& item : *items) out.push_back(text_of(item));
  return out;
}

secret secret_of(const source& s, bool make_file) {
  const auto* table = s.node.as_table();
  if (!table) return secret(text_of(s.node));
  if (table->size() == 1) {
    if (const auto* env = table->get("env")) {
      const auto found = s.environment.find(text_of(*env));
      if (found == s.environment.end() || found->second.empty())
        throw config_error("the environment has no " + text_of(*env));
      return secret(found->second);
    }
    if (const auto* file = table->get("file")) return secret_from_file(text_of(*file), make_file);
  }
  throw config_error("must be a string, { env = \"NAME\" } or { file = \"path\" }");
}

std::vector<secret> secrets_of(const source& s, bool make_files) {
  std::vector<secret> out;
  if (const auto* items = s.node.as_array())
    for (const auto& item : *items) out.push_back(secret_of({item, s.environment}, make_files));
  else
    out.push_back(secret_of(s, make_files));
  return out;
}

std::vector<config::api_key> api_keys_of(const toml::node& n) {
  const auto* items = n.as_array();
  if (!items) throw config_error("must be a list of { name, sha256, profiles }");
  std::vector<config::api_key> out;
  for (const auto& item : *items) {
    const auto* table = item.as_table();
    if (!table) throw config_error("must be a list of { name, sha256, profiles }");
    config::api_key key;
    for (const auto& [name, value] : *table) {
      if (name == "name")
        key.name = text_of(value);
      else if (name == "sha256")
        key.sha256 = lower(text_of(value));
      else if (name == "profiles")
        key.profiles = texts_of(value);
      else
        throw config_error("has an unknown " + quote(name.str()) + "; name, sha256 and profiles are known");
    }
    if (key.name.empty() || key.name.find_first_of("/\\") != key.name.npos)
      throw config_error("a key needs a name, without slashes");
    auto bytes = from_hex(key.sha256);
    if (!bytes || bytes->size() != 32)
      throw config_error("sha256 of key " + quote(key.name) + " must be 64 hex digits: printf %s KEY | sha256sum");
    out.push_back(std::move(key));
  }
  return out;
}

namespace {

config::webhook_section webhook_of(const toml::table& table, const environment_map& environment) {
  config::webhook_section out;
  for (const auto& [name, value] : table) {
    try {
      if (name == "url")
        out.url = text_of(value);
      else if (name == "secret")
        out.secrets = secrets_of({value, environment}, false);
      else if (name == "types")
        out.types = texts_of(value);
      else if (name == "allow_private")
        out.allow_private = bool_of(value);
      else if (name == "ca_file")
        out.ca_file = text_of(value);
      else
        throw config_error("is not known; url, secret, types, allow_private and ca_file are");
    } catch (const config_error& e) {
      throw config_error(std::string(name.str()) + ": " + e.what());
    }
  }
  return out;
}

} // namespace

std::vector<config::webhook_section> webhooks_of(const source& s) {
  const auto* items = s.node.as_array();
  if (!items) throw config_error("must be a list of { url, secret, types }, or [[webhooks]] sections");
  std::vector<config::webhook_section> out;
  for (const auto& item : *items) {
    const auto* table = item.as_table();
    if (!table) throw config_error("must be a list of { url, secret, types }, or [[webhooks]] sections");
    try {
      out.push_back(webhook_of(*table, s.environment));
    } catch (const config_error& e) {
      throw config_error("number " + std::to_string(out.size() + 1) + ", " + e.what());
    }
  }
  return out;
}

std::map<std::string, std::string> tags_of(const toml::node& n) {
  const auto* table = n.as_table();
  if (!table) throw config_error("must be a table of strings");
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : *table) out.emplace(name.str(), text_of(value));
  return out;
}

unsigned threads_of(const toml::node& n) {
  const auto i = n.value_exact<std::int64_t>();
  if (!i || *i < 0 || *i > 1024) throw config_error("must be 0 to 1024");
  return static_cast<unsigned>(*i);
}

std::chrono::seconds seconds_of(const toml::node& n) {
  return std::chrono::duration_cast<std::chrono::seconds>(parse_time(text_or_number(n)));
}

} // namespace postern::app
