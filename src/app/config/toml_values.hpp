// The values of a configuration as TOML has them. Each reader answers the value or throws config_error with how it must
// be; whoever calls adds which setting it is.
#pragma once

#include <postern/app/config/config.hpp>

#include <toml++/toml.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace postern::app {

using environment_map = std::map<std::string, std::string>;

// What a setter is given: the node, and the environment that secrets may name.
struct source {
  const toml::node& node;
  const environment_map& environment;
};

std::string text_of(const toml::node& n);
// A number may stand bare for the smallest unit of its kind.
std::string text_or_number(const toml::node& n);
bool bool_of(const toml::node& n);
std::vector<std::string> texts_of(const toml::node& n); // one, or a list of them
// A string, { env = "NAME" } or { file = "path" }; a file that is missing is made, where that is said.
secret secret_of(const source& s, bool make_file);
std::vector<secret> secrets_of(const source& s, bool make_files); // one, or a list of them
std::vector<config::api_key> api_keys_of(const toml::node& n);
std::vector<config::webhook_section> webhooks_of(const source& s);
std::map<std::string, std::string> tags_of(const toml::node& n);
unsigned threads_of(const toml::node& n);
std::chrono::seconds seconds_of(const toml::node& n);

} // namespace postern::app
