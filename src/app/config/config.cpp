#include "toml_values.hpp"
#include <postern/app/config/checks.hpp>
#include <postern/app/config/config.hpp>
#include <postern/app/config/settings.hpp>
#include <postern/base/text.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

namespace postern::app {
namespace {

// --- the one table ----------------------------------------------------------------------------------

using setter = std::function<void(config&, const source&)>;
using table_of_settings = std::map<std::string, setter, std::less<>>;

// A setting that is only read into a member by one of the readers of values.
template <class Section, class T, class Read> setter into(Section config::*section, T Section::*member, Read read) {
  return [=](config& c, const source& s) { (c.*section).*member = read(s.node); };
}

const table_of_settings& settings() {
  using server = config::server_section;
  using limits = config::limits_section;
  using auth = config::auth_section;
  using store = config::store_section;
  using events = config::events_section;
  using sweep = config::sweep_section;
  const auto size = [](const toml::node& n) { return parse_size(text_or_number(n)); };
  const auto time = [](const toml::node& n) { return parse_time(text_or_number(n)); };
  static const table_of_settings all{
      {"server.listen", into(&config::server, &server::listen, texts_of)},
      {"server.public_url", into(&config::server, &server::public_url, text_of)},
      {"server.admin_listen", into(&config::server, &server::admin_listen, text_of)},
      {"server.threads", into(&config::server, &server::threads, threads_of)},
      {"server.secrets", [](config& c, const source& s) { c.server.secrets = secrets_of(s, true); }},
      {"server.allowed_origins", into(&config::server, &server::allowed_origins, texts_of)},
      {"server.trusted_proxies", into(&config::server, &server::trusted_proxies, texts_of)},
      {"server.demo", into(&config::server, &server::demo, bool_of)},
      {"server.tls.certificate", into(&config::server, &server::tls_certificate, text_of)},
      {"server.tls.key", into(&config::server, &server::tls_key, text_of)},
      {"server.drain", into(&config::server, &server::drain, seconds_of)},
      {"limits.request_header", into(&config::limits, &limits::request_header, size)},
      {"limits.json_body", into(&config::limits, &limits::json_body, size)},
      {"limits.form_fields", into(&config::limits, &limits::form_fields, size)},
      {"limits.header_timeout", into(&config::limits, &limits::header_timeout, time)},
      {"limits.body_silence", into(&config::limits, &limits::body_silence, time)},
      {"limits.idle_timeout", into(&config::limits, &limits::idle_timeout, time)},
      {"limits.min_body_rate", into(&config::limits, &limits::min_body_rate, size)},
      {"limits.connections", into(&config::limits, &limits::connections, size)},
      {"limits.connections_per_address", into(&config::limits, &limits::connections_per_address, size)},
      {"limits.sign_rate", into(&config::limits, &limits::sign_rate, size)},
      {"limits.sign_burst", into(&config::limits, &limits::sign_burst, size)},
      {"limits.buffers", into(&config::limits, &limits::buffers, size)},
      {"auth.anonymous", into(&config::auth, &auth::anonymous, bool_of)},
      {"auth.api_keys", into(&config::auth, &auth::api_keys, api_keys_of)},
      {"store.type", into(&config::store, &store::type, text_of)},
      {"store.path", into(&config::store, &store::path, text_of)},
      {"store.bucket", into(&config::store, &store::bucket, text_of)},
      {"store.other_buckets", into(&config::store, &store::other_buckets, texts_of)},
      {"store.region", into(&config::store, &store::region, text_of)},
      {"store.endpoint", into(&config::store, &store::endpoint, text_of)},
      {"store.public_endpoint", into(&config::store, &store::public_endpoint, text_of)},
      {"store.path_style", into(&config::store, &store::path_style, bool_of)},
      {"store.ca_file", into(&config::store, &store::ca_file, text_of)},
      {"store.timeout", into(&config::store, &store::timeout, time)},
      {"store.credentials.session_token",
       [](config& c, const source& s) { c.store.session_token = secret_of(s, false); }},
      {"store.credentials.profile", into(&config::store, &store::profile, text_of)},
      {"store.credentials.role_arn", into(&config::store, &store::role_arn, text_of)},
      {"store.credentials.external_id", into(&config::store, &store::external_id, text_of)},
      {"store.credentials.session_name", into(&config::store, &store::session_name, text_of)},
      {"store.credentials.duration", into(&config::store, &store::duration, seconds_of)},
      {"store.credentials.sts_endpoint", into(&config::store, &store::sts_endpoint, text_of)},
      {"store.credentials.access_key", into(&config::store, &store::access_key, text_of)},
      {"store.credentials.secret_key", [](config& c, const source& s) { c.store.secret_key = secret_of(s, false); }},
      {"ledger.url", [](config& c, const source& s) { c.ledger_url = text_of(s.node); }},
      {"events.token", [](config& c, const source& s) { c.events.token = secret_of(s, false); }},
      {"events.sns_topics", into(&config::events, &events::sns_topics, texts_of)},
      {"events.ca_file", into(&config::events, &events::ca_file, text_of)},
      {"events.sns_connect_to", into(&config::events, &events::sns_connect_to, text_of)},
      {"ledger.retention", [=](config& c, const source& s) { c.retention = time(s.node); }},
      {"sweep.interval", into(&config::sweep, &sweep::interval, time)},
      {"sweep.grace", into(&config::sweep, &sweep::grace, time)},
      {"sweep.claim_lifetime", into(&config::sweep, &sweep::claim_lifetime, seconds_of)},
      {"webhooks", [](config& c, const source& s) { c.webhooks = webhooks_of(s); }},
      {"log.level",
       [](config& c, const source& s) {
         static const std::map<std::string, log::level> levels{{"debug", log::level::debug},
                                                               {"info", log::level::info},
                                                               {"warning", log::level::warning},
                                                               {"error", log::level::error}};
         const auto found = levels.find(text_of(s.node));
         if (found == levels.end()) throw config_error("must be debug, info, warning or error");
         c.log_level = found->second;
       }},
      {"log.format",
       [](config& c, const source& s) {
         const auto text = text_of(s.node);
         if (text != "logfmt" && text != "json") throw config_error("must be logfmt or json");
         c.log_format = text == "json" ? log::format::json : log::format::logfmt;
       }},
  };
  return all;
}

using profile_setter = std::function<void(profile&, const toml::node&)>;

template <class T, class Read> profile_setter in_profile(T profile::*member, Read read) {
  return [=](profile& p, const toml::node& n) { p.*member = read(n); };
}

const std::map<std::string, profile_setter, std::less<>>& profile_settings() {
  const auto size = [](const toml::node& n) { return parse_size(text_or_number(n)); };
  static const std::map<std::string, profile_setter, std::less<>> all{
      {"bucket", in_profile(&profile::bucket, text_of)},
      {"key", in_profile(&profile::key, text_of)},
      {"min_size", in_profile(&profile::min_size, size)},
      {"max_size", in_profile(&profile::max_size, size)},
      {"content_types", in_profile(&profile::content_types, texts_of)},
      {"expires", in_profile(&profile::expires, seconds_of)},
      {"return_to", in_profile(&profile::return_to, texts_of)},
      {"acl", in_profile(&profile::acl, text_of)},
      {"storage_class", in_profile(&profile::storage_class, text_of)},
      {"sse", in_profile(&profile::sse, text_of)},
      {"sse_kms_key", in_profile(&profile::sse_kms_key, text_of)},
      {"tags", in_profile(&profile::tags, tags_of)},
      {"cache_control", in_profile(&profile::cache_control, text_of)},
      {"content_disposition", in_profile(&profile::content_disposition, text_of)},
      {"overwrite", in_profile(&profile::overwrite, bool_of)},
  };
  return all;
}

// Settings that are described but that this version does not have: silence would be worse than a refusal.
bool is_for_later(std::string_view path) {
  static constexpr std::string_view later[] = {"auth.jwt", "auth.forward"};
  return std::any_of(std::begin(later), std::end(later),
                     [&](std::string_view l) { return path == l || (path.starts_with(l) && path[l.size()] == '.'); });
}

std::vector<std::string> known_paths(const config& c) {
  std::vector<std::string> out;
  for (const auto& [path, set] : settings()) out.push_back(path);
  for (const auto& [name, p] : c.profiles)
    for (const auto& [key, set] : profile_settings()) out.push_back("profiles." + name + "." + key);
  return out;
}

[[noreturn]] void unknown(const config& c, const std::string& path, const std::string& said_as) {
  if (is_for_later(path)) throw config_error(said_as + ": this version does not have it yet; remove it");
  const auto near = nearest(path, known_paths(c));
  throw config_error(said_as + ": unknown setting" + (near.empty() ? "" : "; did you mean " + near + "?"));
}

// --- applying ---------------------------------------------------------------------------------------

void apply(config& c, const std::string& path, const std::string& said_as, const source& s) {
  try {
    if (path.starts_with("profiles.")) {
      const auto dot = path.rfind('.');
      const auto name = path.substr(9, dot > 9 ? dot - 9 : 0);
      const auto found = profile_settings().find(path.substr(dot + 1));
      if (name.empty() || found == profile_settings().end()) unknown(c, path, said_as);
      auto& p = c.profiles[name];
      p.name = name;
      return found->second(p, s.node);
    }
    const auto found = settings().find(path);
    if (found == settings().end()) unknown(c, path, said_as);
    found->second(c, s);
  } catch (const config_error& e) {
    const std::string what = e.what();
    if (what.starts_with(said_as)) throw;
    throw config_error(said_as + ": " + what);
  }
}

// Tables are walked down to the settings; a setting that is itself a table (tags, a secret's { file }) is one.
void apply_table(config& c, const toml::table& table, const std::string& prefix, const environment_map& environment) {
  for (const auto& [name, node] : table) {
    const auto path = prefix + std::string(name.str());
    const bool setting =
        settings().contains(path) || (path.starts_with("profiles.") && std::count(path.begin(), path.end(), '.') >= 2);
    const auto* inner = node.as_table();
    if (inner && !setting && !is_for_later(path)) {
      if (prefix == "profiles.") c.profiles[std::string(name.str())].name = name.str();
      apply_table(c, *inner, path + ".", environment);
    } else {
      const auto line = node.source().begin.line;
      apply(c, path, path + (line ? " (line " + std::to_string(line) + ")" : ""), {node, environment});
    }
  }
}

void find_named(const toml::node& n, std::vector<std::string>& names) {
  if (const auto* table = n.as_table()) {
    if (const auto* env = table->get("env"); env && env->is_string()) names.push_back(text_of(*env));
    for (const auto& [name, node] : *table) find_named(node, names);
  }
  if (const auto* items = n.as_array())
    for (const auto& item : *items) find_named(item, names);
}

std::string path_of(std::string_view variable) {
  std::string path;
  for (auto rest = lower(variable.substr(8)); !rest.empty();) {
    const auto at = rest.find("__");
    path += (path.empty() ? "" : ".") + rest.substr(0, at);
    rest = at == rest.npos ? "" : rest.substr(at + 2);
  }
  return path;
}

// The text is TOML where it reads as such ("true", "[...]", "{...}", a number), else a string.
toml::table value_of(const std::string& text) {
  const bool toml_text =
      !text.empty() && (std::strchr("[{0123456789", text.front()) || text == "true" || text == "false");
  toml::table holder;
  try {
    if (toml_text) holder = toml::parse("v = " + text);
  } catch (const toml::parse_error&) {
    // 127.0.0.1:8080 begins like a number and is none.
  }
  if (!holder.contains("v")) holder.insert_or_assign("v", text);
  return holder;
}

// POSTERN_STORE__BUCKET=media. Variables that a secret names, in the file or in another variable, are no settings.
void apply_environment(config& c, const environment_map& environment, std::vector<std::string> named) {
  std::map<std::string, toml::table> values;
  for (const auto& [name, text] : environment) {
    if (!name.starts_with("POSTERN_")) continue;
    const auto& value = values[name] = value_of(text);
    find_named(value, named);
  }
  for (const auto& [name, value] : values)
    if (std::find(named.begin(), named.end(), name) == named.end())
      apply(c, path_of(name), name, {*value.get("v"), environment});
}

config read(toml::table table, const char* const* environment_block) {
  environment_map environment;
  for (auto e = environment_block; e && *e; ++e)
    if (const auto* equals = std::strchr(*e, '=')) environment.emplace(std::string(*e, equals), equals + 1);
  config c;
  c.profiles["default"].name = "default";
  apply_table(c, table, "", environment);
  std::vector<std::string> named;
  find_named(table, named);
  apply_environment(c, environment, std::move(named));
  complete_and_check(c);
  c.environment = std::move(environment);
  return c;
}

} // namespace

config parse_config(std::string_view text, const char* const* environment) {
  try {
    return read(toml::parse(text), environment);
  } catch (const toml::parse_error& e) {
    throw config_error("line " + std::to_string(e.source().begin.line) + ": " + std::string(e.description()));
  }
}

config load_config(const std::filesystem::path& file, const char* const* environment) {
  if (file.empty()) return parse_config("", environment);
  std::ifstream in(file);
  if (!in) throw config_error("the configuration " + file.string() + " cannot be read");
  std::stringstream text;
  text << in.rdbuf();
  try {
    return parse_config(text.str(), environment);
  } catch (const config_error& e) {
    throw config_error(file.string() + ": " + e.what());
  }
}

} // namespace postern::app
