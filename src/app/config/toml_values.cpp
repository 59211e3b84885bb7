#include "toml_values.hpp"

#include <postern/app/config/secret_file.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/jwt.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <algorithm>
#include <array>
#include <sstream>

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

// A date as the file has it: 2027-01-01.
std::string toml_text(const toml::node& n) {
  std::ostringstream out;
  if (const auto day = n.value_exact<toml::date>()) out << *day;
  if (const auto moment = n.value_exact<toml::date_time>()) out << *moment;
  return out.str();
}

std::string text_or_number(const toml::node& n) {
  if (const auto i = n.value_exact<std::int64_t>()) return std::to_string(*i);
  return text_of(n);
}

secret secret_of(const source& s, std::size_t max_file = max_secret_file) {
  const auto* table = s.node.as_table();
  if (!table || table->size() != 1) return secret(secret_text_of(s.node));
  if (const auto* env = table->get("env")) {
    const auto found = s.environment.find(text_of(*env));
    if (found == s.environment.end() || found->second.empty())
      throw config_error("the environment has no " + text_of(*env));
    return secret(found->second);
  }
  if (const auto* file = table->get("file")) return read_secret_file(text_of(*file), max_file);
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
  const auto read_one = [this](const source& one) { return are_servers ? server_secret_of(one) : secret_of(one); };
  into.clear();
  if (const auto* items = s.node.as_array())
    for (const auto& item : *items) into.push_back(read_one({item, s.environment}));
  else
    into.push_back(read_one(s));
}
std::string secret_list_value::write(const std::vector<secret>& values) const {
  return toml_list(values, [](const secret& value) { return secret_value{}.write(value); });
}

void date_value::read(const source& s, std::optional<seconds_clock>& into) const {
  auto text = s.node.is_date() || s.node.is_date_time() ? toml_text(s.node) : text_of(s.node);
  into.reset();
  if (text.empty()) return;
  const auto moment = parse_iso8601(text.size() == 10 ? text + "T00:00:00Z" : text);
  if (!moment) throw config_error(shown(s.node) + " is not a date; write it like 2027-01-01 or 2027-01-01T12:00:00Z");
  into = *moment;
}
std::string date_value::write(const std::optional<seconds_clock>& value) const {
  return toml_string(value ? iso8601(*value) : "");
}

void token_keys_value::read(const source& s, config::token_keys& into) const {
  into = {};
  const auto text = s.node.value_exact<std::string>();
  const auto scheme = text ? lower(text->substr(0, text->find(':'))) : "";
  if (scheme == "http" || scheme == "https") return void(into.url = *text);
  if (const auto* items = s.node.as_array())
    for (const auto& item : *items) read_one({item, s.environment}, into);
  else
    read_one(s, into);
}
void token_keys_value::read_one(const source& s, config::token_keys& into) {
  const auto* table = s.node.as_table();
  const auto* shared = table && table->size() == 1 ? table->get("secret") : nullptr;
  if (shared)
    into.shared_secrets.push_back(secret_of({*shared, s.environment}));
  else
    into.public_keys.push_back(secret_of(s, max_key_set));
}
std::string token_keys_value::write(const config::token_keys& keys) const {
  if (!keys.url.empty()) return toml_string(keys.url);
  auto all = keys.public_keys;
  all.insert(all.end(), keys.shared_secrets.begin(), keys.shared_secrets.end());
  return secret_list_value{}.write(all);
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

void text_lists_value::read(const source& s, std::map<std::string, std::vector<std::string>>& into) const {
  const auto* table = s.node.as_table();
  if (!table) throw config_error(shown(s.node) + " must be a table of lists: { name = [\"value\"] }");
  into.clear();
  for (const auto& [name, value] : *table)
    text_list_value{}.read({value, s.environment}, into[std::string(name.str())]);
}
std::string text_lists_value::write(const std::map<std::string, std::vector<std::string>>& values) const {
  std::string out;
  for (const auto& [name, value] : values)
    out.append(out.empty() ? " " : ", ").append(toml_key(name)).append(" = ").append(text_list_value{}.write(value));
  return "{" + (out.empty() ? "" : out + " ") + "}";
}

namespace {

const choice_list_value<config::direct_way>& direct_ways() {
  using way = config::direct_way;
  static const choice_list_value<way> all{{{{"form", way::form}, {"put", way::put}, {"multipart", way::multipart}}}};
  return all;
}

} // namespace

void direct_ways_value::read(const source& s, std::optional<std::vector<config::direct_way>>& into) const {
  if (s.node.value_exact<std::string>() == "auto") return into.reset();
  if (!s.node.is_array())
    throw config_error(shown(s.node) + " is neither \"auto\" nor a list of \"form\", \"put\" and \"multipart\"");
  direct_ways().read(s, into.emplace());
}

std::string direct_ways_value::write(const std::optional<std::vector<config::direct_way>>& ways) const {
  return ways ? direct_ways().write(*ways) : toml_string("auto");
}

} // namespace postern::app
