#include <postern/app/config.hpp>
#include <postern/app/settings.hpp>
#include <postern/app/webhooks.hpp>
#include <postern/base/encoding.hpp>
#include <postern/core/policy.hpp>
#include <postern/core/upload.hpp>

#include <toml++/toml.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <sstream>

namespace postern::app {
namespace {

using environment_map = std::map<std::string, std::string>;

// --- reading one value ------------------------------------------------------------------------------

// What a setter is given: the node, and the environment that secrets may name.
struct source {
  const toml::node& node;
  const environment_map& environment;
};

std::string text_of(const toml::node& n) {
  if (const auto s = n.value_exact<std::string>()) return *s;
  throw config_error("must be a string");
}

// A number may stand bare for the smallest unit of its kind.
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

// --- the one table ----------------------------------------------------------------------------------

using setter = std::function<void(config&, const source&)>;
using table_of_settings = std::map<std::string, setter, std::less<>>;

// A setting that is only read into a member by one of the readers above.
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

// --- checking ---------------------------------------------------------------------------------------

void require(bool right, const std::string& setting, const std::string& what) {
  if (!right) throw config_error(setting + ": " + what);
}

void check_profile(config& c, profile& p) {
  const auto at = "profiles." + p.name + ".";
  if (p.bucket.empty()) p.bucket = c.store.bucket;
  const auto& others = c.store.other_buckets;
  const auto listed = [&](const char* b) { return std::find(others.begin(), others.end(), b) != others.end(); };
  require(p.bucket == c.store.bucket || listed("*") || listed(p.bucket.c_str()), at + "bucket",
          quote(p.bucket) + " is neither store.bucket nor among store.other_buckets");
  if (auto key = fill_key(p.key, {"id", "name", "user", "profile", "date"}); !key)
    throw config_error(at + "key: " + key.error().on);
  require(p.overwrite || p.key.find("${id}") != p.key.npos, at + "key",
          "must contain ${id}, so that no upload can replace another's object; overwrite = true allows it");
  require(p.min_size <= p.max_size, at + "min_size", "is larger than max_size");
  require(p.max_size <= largest_object, at + "max_size", "S3 takes objects of at most 5TiB");
  require(p.expires.count() > 0 && p.expires <= std::chrono::hours(24 * 7), at + "expires", "must be 1s to 7d");
  require(c.sweep.claim_lifetime >= p.expires, "sweep.claim_lifetime", "must not be shorter than " + at + "expires");
  // A claim that outlived its row would complete the upload a second time.
  require(c.retention.count() == 0 || c.retention >= c.sweep.claim_lifetime + p.expires + c.sweep.grace,
          "ledger.retention",
          "must not be shorter than sweep.claim_lifetime, sweep.grace and " + at + "expires together; 0 keeps all");
  for (const auto& url : p.return_to) {
    require(is_web_url(url), at + "return_to", quote(url) + " must be an absolute http or https URL");
    const auto path = url.find('/', url.find("://") + 3);
    require(!url.ends_with('*') || path != url.npos, at + "return_to",
            quote(url) + " must have a / behind the host, else other hosts would match");
  }
}

void check_store(config::store_section& s) {
  require(s.type == "s3" || s.type == "file", "store.type", "must be \"s3\" or \"file\"");
  if (s.type == "file" && s.bucket.empty()) s.bucket = "local";
  require(!s.bucket.empty(), "store.bucket", "must name the bucket in S3");
  require(s.access_key.empty() == s.secret_key.empty(), "store.credentials",
          "needs both access_key and secret_key, or neither");
  require(s.session_token.empty() || !s.access_key.empty(), "store.credentials.session_token",
          "needs access_key and secret_key");
  require(s.profile.empty() || s.access_key.empty(), "store.credentials.profile",
          "is one way and access_key another; name one of them");
  for (const auto& [name, url] : {std::pair{"store.endpoint", s.endpoint},
                                  {"store.public_endpoint", s.public_endpoint},
                                  {"store.credentials.sts_endpoint", s.sts_endpoint}})
    require(url.empty() || is_web_url(url), name, quote(url) + " must be like https://s3.example.com");
  require(!s.region.empty(), "store.region", "must be like eu-west-1");
  require(s.external_id.empty() || !s.role_arn.empty(), "store.credentials.external_id",
          "is for a role: name role_arn too");
  require(s.role_arn.empty() || s.role_arn.starts_with("arn:"), "store.credentials.role_arn",
          "must be like arn:aws:iam::123456789012:role/uploader");
  require(s.duration.count() > 0 && s.duration <= std::chrono::hours(12), "store.credentials.duration",
          "must be at most 12h");
}

void check_events(const config::events_section& e) {
  require(e.token.empty() || e.token.reveal().size() >= 16, "events.token",
          "must have at least 16 bytes: openssl rand -hex 32");
  for (const auto& arn : e.sns_topics)
    require(arn.starts_with("arn:") && arn.find(":sns:") != arn.npos && arn.find('*') == arn.npos, "events.sns_topics",
            quote(arn) + " must be like arn:aws:sns:eu-west-1:123456789012:uploads");
  const auto colon = e.sns_connect_to.rfind(':');
  const auto port = colon == std::string::npos ? "" : e.sns_connect_to.substr(colon + 1);
  require(e.sns_connect_to.empty() || (colon > 0 && !port.empty() && port.size() <= 5 &&
                                       port.find_first_not_of("0123456789") == port.npos && std::stoul(port) <= 65535),
          "events.sns_connect_to", "must be like 127.0.0.1:8443");
}

void check(config& c) {
  auto& s = c.server;
  while (s.public_url.ends_with('/')) s.public_url.pop_back();
  require(is_web_url(s.public_url) && s.public_url.find_first_of("?#") == s.public_url.npos, "server.public_url",
          "must be like https://uploads.example.com");
  require(!s.listen.empty(), "server.listen", "must name an address such as 127.0.0.1:8080");
  for (const auto& o : s.allowed_origins)
    require(is_origin(o), "server.allowed_origins",
            quote(o) + " must be an exact origin like https://app.example.com, in small letters, without a path");
  require(s.tls_certificate.empty() == s.tls_key.empty(), "server.tls", "needs both certificate and key, or neither");
  if (s.secrets.empty()) s.secrets.push_back(secret_from_file("var/secret", true));
  for (const auto& one : s.secrets)
    require(one.reveal().size() >= 16, "server.secrets", "a secret must have at least 16 bytes: openssl rand -hex 32");
  check_store(c.store);
  check_events(c.events);
  require(c.sweep.interval >= std::chrono::milliseconds(100), "sweep.interval", "must be 100ms at least");
  c.profiles["default"].name = "default";
  for (auto& [name, p] : c.profiles) check_profile(c, p);
  check_webhooks(c);
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
  check(c);
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
