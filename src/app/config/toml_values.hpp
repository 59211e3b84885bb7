// The kinds of values that settings have. Each kind reads its value from TOML and writes it as TOML. A reader throws
// config_error with the value and the rule; the caller adds the name of the setting. A secret is never written, and is
// never quoted in an error.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/config/units.hpp>

#include <toml++/toml.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::app {

using environment_map = std::map<std::string, std::string>;

// A value in TOML, and the environment variables that secrets may name.
struct source {
  const toml::node& node;
  const environment_map& environment;
};

std::string toml_string(std::string_view text); // quoted and escaped
std::string toml_key(std::string_view name);    // quoted if it must be
// [a, b], each item made by write(item).
template <class Items, class Write> std::string toml_list(const Items& items, const Write& write) {
  std::string out = "[";
  for (const auto& item : items) out.append(out.size() > 1 ? ", " : "").append(write(item));
  return out + "]";
}
// The value as an error message shows it.
std::string shown(const toml::node& n);

// --- kinds ---

struct text_value {
  void read(const source& s, std::string& into) const;
  void read(const source& s, std::filesystem::path& into) const;
  std::string write(const std::string& value) const { return toml_string(value); }
};

// A database URL. It is written without its password.
struct database_url_value {
  void read(const source& s, std::string& into) const { text_value{}.read(s, into); }
  std::string write(const std::string& url) const;
};

// One string, or a list.
struct text_list_value {
  void read(const source& s, std::vector<std::string>& into) const;
  std::string write(const std::vector<std::string>& values) const;
};

struct bool_value {
  void read(const source& s, bool& into) const;
  std::string write(bool value) const { return value ? "true" : "false"; }
};

// "5GiB", or a bare number of bytes, `max` at most.
struct size_value {
  std::uint64_t max = UINT64_MAX;
  void read(const source& s, std::uint64_t& into) const;
  std::string write(std::uint64_t value) const { return toml_string(size_text(value)); }
};

// "15m", or a bare number of seconds.
struct time_value {
  template <class Duration> void read(const source& s, Duration& into) const {
    into = std::chrono::duration_cast<Duration>(read_time(s));
  }
  std::string write(std::chrono::milliseconds value) const { return toml_string(time_text(value)); }

private:
  static std::chrono::milliseconds read_time(const source& s);
};

// A whole number, 0 to `max`.
struct count_value {
  std::uint64_t max = INT64_MAX;
  template <class Unsigned> void read(const source& s, Unsigned& into) const {
    into = static_cast<Unsigned>(read_count(s));
  }
  std::string write(std::uint64_t value) const { return std::to_string(value); }

private:
  std::uint64_t read_count(const source& s) const;
};

// A string, { env = "NAME" } or { file = "path" }.
struct secret_value {
  void read(const source& s, secret& into) const;
  std::string write(const secret& value) const { return value.empty() ? "\"\"" : "\"***\""; }
};

// One secret, or a list.
struct secret_list_value {
  bool are_servers = false; // server.secrets: see read_server_secret
  void read(const source& s, std::vector<secret>& into) const;
  std::string write(const std::vector<secret>& values) const;
};

// A day or a moment in UTC: "2027-01-01", "2027-01-01T12:00:00Z", with or without quotes; empty: never.
struct date_value {
  void read(const source& s, std::optional<seconds_clock>& into) const;
  std::string write(const std::optional<seconds_clock>& value) const;
};

// auth.jwt.keys: the URL of a JWK Set; or a public key, { secret = a secret }, or a list of these. A file with public
// keys may have 256 KiB.
struct token_keys_value {
  void read(const source& s, config::token_keys& into) const;
  std::string write(const config::token_keys& keys) const;

private:
  static void read_one(const source& s, config::token_keys& into);
};

// A table of strings.
struct text_table_value {
  void read(const source& s, std::map<std::string, std::string>& into) const;
  std::string write(const std::map<std::string, std::string>& values) const;
};

// A table of lists of strings.
struct text_lists_value {
  void read(const source& s, std::map<std::string, std::vector<std::string>>& into) const;
  std::string write(const std::map<std::string, std::vector<std::string>>& values) const;
};

// One of several words.
template <class Enum> struct choice_value {
  std::vector<std::pair<std::string_view, Enum>> choices;

  void read(const source& s, Enum& into) const {
    std::string text, all;
    text_value{}.read(s, text);
    for (const auto& [name, value] : choices) {
      if (name == text) return void(into = value);
      all.append(all.empty() ? "" : ", ").append(name);
    }
    throw config_error(shown(s.node) + " is not one of: " + all);
  }
  std::string write(Enum value) const {
    for (const auto& [name, choice] : choices)
      if (choice == value) return toml_string(name);
    return "\"\"";
  }
};

// A list of several words.
template <class Enum> struct choice_list_value {
  choice_value<Enum> one;

  void read(const source& s, std::vector<Enum>& into) const {
    const auto* items = s.node.as_array();
    if (!items) throw config_error(shown(s.node) + " is not a list");
    into.clear();
    for (const auto& item : *items) one.read({item, s.environment}, into.emplace_back());
  }
  std::string write(const std::vector<Enum>& values) const {
    return toml_list(values, [this](Enum value) { return one.write(value); });
  }
};

// store.ways: "auto", or a list of ways.
struct direct_ways_value {
  void read(const source& s, std::optional<std::vector<config::direct_way>>& into) const;
  std::string write(const std::optional<std::vector<config::direct_way>>& ways) const;
};

} // namespace postern::app
