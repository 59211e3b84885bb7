#include "toml_values.hpp"

#include <postern/app/config/secret_file.hpp>
#include <postern/base/text.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <algorithm>
#include <array>

namespace postern::app {
namespace {

std::string text_of(const toml::node& n) {
  if (const auto s = n.value_exact<std::string>()) return *s;
  throw config_error(shown(n) + " is not a string; write it in quotes");
}

// A secret's value must not be shown.
std::string secret_text_of(const toml::node& n) {
  if (const auto s = n.value_exact<std::string>()) return *s;
  throw config_error("must be a string, { env = \"NAME\" } or { file = \"path\" }");
}

std::string text_or_number(const toml::node& n) {
  if (const auto i = n.value_exact<std::int64_t>()) return std::to_string(*i);
  return text_of(n);
}

secret secret_of(const source& s) {
  const auto* table = s.node.as_table();
  if (!table || table->size() != 1) return secret(secret_text_of(s.node));
  if (const auto* env = table->get("env")) {
    const auto found = s.environment.find(text_of(*env));
    if (found == s.environment.end() || found->second.empty())
      throw config_error("the environment has no " + text_of(*env));
    return secret(found->second);
  }
  if (const auto* file = table->get("file")) return read_secret_file(text_of(*file));
  return secret(secret_text_of(s.node));
}

// Empty: the default file does not exist yet.
secret server_secret_of(const source& s) {
  const auto* table = s.node.as_table();
  if (const auto* file = table && table->size() == 1 ? table->get("file") : nullptr)
    return read_server_secret(text_of(*file));
  auto written = secret_of(s);
  if (written.empty()) throw config_error("a secret is empty; make one with: openssl rand -hex 32");
  return written;
}

} // namespace

std::string toml_string(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out.append(1, '\\').append(1, c);
    else if (byte < 0x20 || byte == 0x7f)
      out.append("\\u00").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    else
      out += c;
  }
  return out + '"';
}

std::string toml_key(std::string_view name) {
  const bool is_bare = is_plain_name(name) && name.find('.') == name.npos;
  return is_bare ? std::string(name) : toml_string(name);
}

std::string shown(const toml::node& n) {
  if (const auto s = n.value_exact<std::string>()) return quote(*s);
  if (const auto i = n.value_exact<std::int64_t>()) return std::to_string(*i);
  if (const auto b = n.value_exact<bool>()) return *b ? "true" : "false";
  return n.is_table() ? "a table" : n.is_array() ? "a list" : "this value";
}

void text_value::read(const source& s, std::string& into) const { into = text_of(s.node); }
void text_value::read(const source& s, std::filesystem::path& into) const { into = text_of(s.node); }

std::string database_url_value::write(const std::string& url) const { return toml_string(ledger_shown(url)); }

void text_list_value::read(const source& s, std::vector<std::string>& into) const {
  into.clear();
  if (const auto* items = s.node.as_array())
    for (const auto& item : *items) into.push_back(text_of(item));
  else
    into.push_back(text_of(s.node));
}
std::string text_list_value::write(const std::vector<std::string>& values) const {
  return toml_list(values, toml_string);
}

void bool_value::read(const source& s, bool& into) const {
  const auto b = s.node.value_exact<bool>();
  if (!b) throw config_error(shown(s.node) + " must be true or false, without quotes");
  into = *b;
}

void size_value::read(const source& s, std::uint64_t& into) const { into = parse_size(text_or_number(s.node), max); }

std::chrono::milliseconds time_value::read_time(const source& s) { return parse_time(text_or_number(s.node)); }

std::uint64_t count_value::read_count(const source& s) const {
  const auto text = text_or_number(s.node);
  const auto n = parse_number(text);
  if (!n || *n > max)
    throw config_error(shown(s.node) + " must be a whole number" +
                       (max == INT64_MAX ? ", 0 or more" : " from 0 to " + std::to_string(max)));
  return *n;
}

void secret_value::read(const source& s, secret& into) const { into = secret_of(s); }

void secret_list_value::read(const source& s, std::vector<secret>& into) const {
  const auto read_one = are_servers ? server_secret_of : secret_of;
  into.clear();
  if (const auto* items = s.node.as_array())
    for (const auto& item : *items) into.push_back(read_one({item, s.environment}));
  else
    into.push_back(read_one(s));
}
std::string secret_list_value::write(const std::vector<secret>& values) const {
  return toml_list(values, [](const secret& value) { return secret_value{}.write(value); });
}

void text_table_value::read(const source& s, std::map<std::string, std::string>& into) const {
  const auto* table = s.node.as_table();
  if (!table) throw config_error(shown(s.node) + " must be a table of strings: { name = \"value\" }");
  into.clear();
  for (const auto& [name, value] : *table) into.emplace(name.str(), text_of(value));
}
std::string text_table_value::write(const std::map<std::string, std::string>& values) const {
  std::string out;
  for (const auto& [name, value] : values)
    out.append(out.empty() ? " " : ", ").append(toml_key(name)).append(" = ").append(toml_string(value));
  return "{" + (out.empty() ? "" : out + " ") + "}";
}

} // namespace postern::app
