#include "settings.hpp"

#include <postern/app/config/spelling.hpp>
#include <postern/core/s3/policy.hpp>

#include <algorithm>

namespace postern::app {
namespace {

// A table with settings of its own.
template <class Object> struct object_value {
  const settings_of<Object>& (*settings)();

  void read(const source& s, Object& into) const {
    const auto* table = s.node.as_table();
    if (!table) throw config_error("must be a table, such as { " + std::string(settings().front().name) + " = … }");
    into = {};
    read_members(*table, "", s.environment, into);
  }

  // A table that is no setting's value has more settings: credentials = { access_key = … }.
  void read_members(const toml::table& from, const std::string& prefix, const environment_map& environment,
                    Object& into) const {
    for (const auto& [key, node] : from) {
      const auto name = prefix + std::string(key.str());
      const auto* known = find_setting(settings(), name);
      if (!known && node.is_table() && has_section(name)) {
        read_members(*node.as_table(), name + ".", environment, into);
        continue;
      }
      if (!known) throw config_error(name + ": unknown setting" + suggestion(name, names_of(settings())));
      try {
        known->read(into, {node, environment});
      } catch (const config_error& e) {
        throw config_error(name + ": " + e.what());
      }
    }
  }

  bool has_section(const std::string& name) const {
    return std::any_of(settings().begin(), settings().end(),
                       [&](const auto& s) { return s.name.starts_with(name + "."); });
  }

  std::string write(const Object& object) const {
    std::string members;
    for (const auto& s : settings())
      members.append(members.empty() ? " " : ", ").append(s.name).append(" = ").append(s.write(object));
    return "{" + members + " }";
  }
};

// A list of such tables.
template <class Object> struct object_list_value {
  object_value<Object> one;
  std::string_view rule;

  void read(const source& s, std::vector<Object>& into) const {
    const auto* items = s.node.as_array();
    if (!items) throw config_error("must be " + std::string(rule));
    into.clear();
    for (const auto& item : *items) {
      if (!item.is_table()) throw config_error("must be " + std::string(rule));
      into.emplace_back();
      try {
        one.read({item, s.environment}, into.back());
      } catch (const config_error& e) {
        throw config_error("number " + std::to_string(into.size()) + ", " + e.what());
      }
    }
  }

  std::string write(const std::vector<Object>& objects) const {
    return toml_list(objects, [this](const Object& object) { return one.write(object); });
  }
};

const settings_of<quota>& quota_settings() {
  constexpr size_value size;
  constexpr count_value count;
  static const settings_of<quota> all{
      {"per_user_day", size, &quota::per_user_day},
      {"per_user", size, &quota::per_user},
      {"per_day", size, &quota::per_day},
      {"total", size, &quota::total},
      {"per_user_in_flight", count, &quota::per_user_in_flight},
      {"in_flight", count, &quota::in_flight},
  };
  return all;
}

const choice_list_value<profile_check> checks_of_files{{{{"size", profile_check::size},
                                                         {"content_type", profile_check::content_type},
                                                         {"type", profile_check::type},
                                                         {"checksum", profile_check::checksum}}}};

const choice_list_value<upload_way> ways_of_files{{{{"form", upload_way::form},
                                                    {"put", upload_way::put},
                                                    {"multipart", upload_way::multipart},
                                                    {"resumable", upload_way::resumable},
                                                    {"fallback", upload_way::fallback}}}};

struct mismatch_value {
  choice_value<mismatch_action> choice{{{"delete", mismatch_action::remove}, {"keep", mismatch_action::keep}}};

  void read(const source& s, mismatch_action& into) const {
    if (s.node.value<std::string_view>() == "quarantine")
      throw config_error("\"quarantine\" is not available in this version; use \"delete\" or \"keep\"");
    choice.read(s, into);
  }
  std::string write(mismatch_action value) const { return choice.write(value); }
};

const settings_of<config::store_section>& named_store_settings() {
  static const auto all = [] {
    auto settings = store_settings();
    settings.insert(settings.begin(), {"name", text_value{}, &config::store_section::name});
    return settings;
  }();
  return all;
}

// With the settings of [store] before those of [[stores]].
settings_of<config> with_store(settings_of<config> others) {
  const auto at = std::find_if(others.begin(), others.end(), [](const auto& s) { return s.name == "stores"; });
  settings_of<config> own;
  for (const auto& s : store_settings()) own.emplace_back("store", s, &config::store);
  others.insert(at, own.begin(), own.end());
  return others;
}

} // namespace

// NOLINTNEXTLINE(readability-function-size): a table, with a line for each setting
const settings_of<config>& config_settings() {
  using server = config::server_section;
  using limits = config::limits_section;
  using auth = config::auth_section;
  using jwt = config::jwt_section;
  using forward = config::forward_section;
  using ledger = config::ledger_section;
  using events = config::events_section;
  using sweep = config::sweep_section;
  using logging = config::logging_section;
  constexpr text_value text;
  constexpr text_list_value texts;
  constexpr bool_value boolean;
  constexpr size_value size;
  constexpr time_value time;
  constexpr count_value count;
  constexpr secret_value one_secret;
  static const object_list_value<config::api_key> api_keys{{api_key_settings},
                                                           "a list of { name, sha256, profiles, rights, expires }"};
  static const object_list_value<config::webhook_section> webhooks{
      {webhook_settings}, "a list of { url, secret, types }, or [[webhooks]] sections"};
  static const choice_value<log::level> level{{{"debug", log::level::debug},
                                               {"info", log::level::info},
                                               {"warning", log::level::warning},
                                               {"error", log::level::error}}};
  static const choice_value<log::format> format{{{"logfmt", log::format::logfmt}, {"json", log::format::json}}};
  static const object_list_value<config::store_section> stores{{named_store_settings},
                                                               "a list of stores: [[stores]] sections"};
  static const settings_of<config> all = with_store({
      {"server.listen", texts, &config::server, &server::listen},
      {"server.public_url", text, &config::server, &server::public_url},
      {"server.admin_listen", text, &config::server, &server::admin_listen},
      {"server.admin_hosts", texts, &config::server, &server::admin_hosts},
      {"server.threads", count_value{1024}, &config::server, &server::threads},
      {"server.secrets", secret_list_value{true}, &config::server, &server::secrets},
      {"server.allowed_origins", texts, &config::server, &server::allowed_origins},
      {"server.trusted_proxies", texts, &config::server, &server::trusted_proxies},
      {"server.demo", boolean, &config::server, &server::demo},
      {"server.drain", time, &config::server, &server::drain},
      {"server.tls.certificate", text, &config::server, &server::tls_certificate},
      {"server.tls.key", text, &config::server, &server::tls_key},
      {"limits.request_header", size, &config::limits, &limits::request_header},
      {"limits.json_body", size, &config::limits, &limits::json_body},
      {"limits.form_fields", size, &config::limits, &limits::form_fields},
      {"limits.header_timeout", time, &config::limits, &limits::header_timeout},
      {"limits.body_silence", time, &config::limits, &limits::body_silence},
      {"limits.idle_timeout", time, &config::limits, &limits::idle_timeout},
      {"limits.min_body_rate", size, &config::limits, &limits::min_body_rate},
      {"limits.connections", count, &config::limits, &limits::connections},
      {"limits.connections_per_address", count, &config::limits, &limits::connections_per_address},
      {"limits.sign_rate", count, &config::limits, &limits::sign_rate},
      {"limits.sign_burst", count, &config::limits, &limits::sign_burst},
      {"limits.status_rate", count, &config::limits, &limits::status_rate},
      {"limits.status_burst", count, &config::limits, &limits::status_burst},
      {"limits.event_stream_rate", count, &config::limits, &limits::event_stream_rate},
      {"limits.event_stream_burst", count, &config::limits, &limits::event_stream_burst},
      {"limits.event_streams", count, &config::limits, &limits::event_streams},
      {"limits.buffers", size, &config::limits, &limits::buffers},
      {"limits.store_requests", count, &config::limits, &limits::store_requests},
      {"auth.anonymous", boolean, &config::auth, &auth::anonymous},
      {"auth.api_keys", api_keys, &config::auth, &auth::api_keys},
      {"auth.jwt.keys", token_keys_value{}, &config::jwt, &jwt::keys},
      {"auth.jwt.algorithms", texts, &config::jwt, &jwt::algorithms},
      {"auth.jwt.issuer", text, &config::jwt, &jwt::issuer},
      {"auth.jwt.audience", text, &config::jwt, &jwt::audience},
      {"auth.jwt.leeway", time, &config::jwt, &jwt::leeway},
      {"auth.jwt.profiles_claim", text, &config::jwt, &jwt::profiles_claim},
      {"auth.jwt.max_size_claim", text, &config::jwt, &jwt::max_size_claim},
      {"auth.jwt.quota_claim", text, &config::jwt, &jwt::quota_claim},
      {"auth.jwt.ca_file", text, &config::jwt, &jwt::ca_file},
      {"auth.forward.url", text, &config::forward, &forward::url},
      {"auth.forward.user_header", text, &config::forward, &forward::user_header},
      {"auth.forward.profiles_header", text, &config::forward, &forward::profiles_header},
      {"auth.forward.limits_header", text, &config::forward, &forward::limits_header},
      {"auth.forward.timeout", time, &config::forward, &forward::timeout},
      {"auth.forward.cache", time, &config::forward, &forward::cache},
      {"auth.forward.send", texts, &config::forward, &forward::send},
      {"auth.forward.ca_file", text, &config::forward, &forward::ca_file},
      {"stores", stores, &config::stores},
      {"ledger.url", database_url_value{}, &config::ledger, &ledger::url},
      {"ledger.retention", time, &config::ledger, &ledger::retention},
      {"events.token", one_secret, &config::events, &events::token},
      {"events.sns_topics", texts, &config::events, &events::sns_topics},
      {"events.ca_file", text, &config::events, &events::ca_file},
      {"events.sns_connect_to", text, &config::events, &events::sns_connect_to},
      {"sweep.interval", time, &config::sweep, &sweep::interval},
      {"sweep.grace", time, &config::sweep, &sweep::grace},
      {"sweep.claim_lifetime", time, &config::sweep, &sweep::claim_lifetime},
      {"sweep.probe", boolean, &config::sweep, &sweep::probe},
      {"sweep.probe_rate", count, &config::sweep, &sweep::probe_rate},
      {"sweep.multipart_grace", time, &config::sweep, &sweep::multipart_grace},
      {"webhooks", webhooks, &config::webhooks},
      {"log.level", level, &config::logging, &logging::level},
      {"log.format", format, &config::logging, &logging::format},
  });
  return all;
}

const settings_of<config::store_section>& store_settings() {
  using store = config::store_section;
  constexpr text_value text;
  static const choice_value<bool> if_possible{{{"auto", true}, {"none", false}}};
  static const settings_of<store> all{
      {"type", text, &store::type},
      {"path", text, &store::path},
      {"bucket", text, &store::bucket},
      {"other_buckets", text_list_value{}, &store::other_buckets},
      {"region", text, &store::region},
      {"endpoint", text, &store::endpoint},
      {"public_endpoint", text, &store::public_endpoint},
      {"path_style", bool_value{}, &store::path_style},
      {"ca_file", text, &store::ca_file},
      {"timeout", time_value{}, &store::timeout},
      {"deadline", time_value{}, &store::deadline},
      {"ways", direct_ways_value{}, &store::ways},
      {"checksums", if_possible, &store::sends_checksums},
      {"if_none_match", if_possible, &store::sends_if_none_match},
      {"credentials.access_key", text, &store::access_key},
      {"credentials.secret_key", secret_value{}, &store::secret_key},
      {"credentials.session_token", secret_value{}, &store::session_token},
      {"credentials.profile", text, &store::profile},
      {"credentials.role_arn", text, &store::role_arn},
      {"credentials.external_id", text, &store::external_id},
      {"credentials.session_name", text, &store::session_name},
      {"credentials.duration", time_value{}, &store::duration},
      {"credentials.sts_endpoint", text, &store::sts_endpoint},
  };
  return all;
}

const settings_of<accept_hook>& accept_settings() {
  static const settings_of<accept_hook> all{
      {"url", text_value{}, &accept_hook::url},
      {"secret", secret_value{}, &accept_hook::key},
      {"timeout", time_value{}, &accept_hook::timeout},
      {"deadline", time_value{}, &accept_hook::deadline},
      {"quarantine", text_value{}, &accept_hook::quarantine},
      {"allow_private", bool_value{}, &accept_hook::allow_private},
      {"ca_file", text_value{}, &accept_hook::ca_file},
  };
  return all;
}

const settings_of<profile>& profile_settings() {
  constexpr text_value text;
  const choice_value<shown_where> where{{{"attachment", shown_where::as_file}, {"inline", shown_where::in_browser}}};
  static const settings_of<profile> all{
      {"store", text, &profile::store},
      {"bucket", text, &profile::bucket},
      {"key", text, &profile::key},
      {"key_metadata", text_list_value{}, &profile::key_metadata},
      {"min_size", size_value{}, &profile::min_size},
      {"max_size", size_value{max_object_size}, &profile::max_size},
      {"content_types", text_list_value{}, &profile::content_types},
      {"expires", time_value{}, &profile::expires},
      {"return_to", text_list_value{}, &profile::return_to},
      {"acl", text, &profile::acl},
      {"storage_class", text, &profile::storage_class},
      {"sse", text, &profile::sse},
      {"sse_kms_key", text, &profile::sse_kms_key},
      {"tags", text_table_value{}, &profile::tags},
      {"cache_control", text, &profile::cache_control},
      {"content_disposition", text, &profile::content_disposition},
      {"overwrite", bool_value{}, &profile::overwrite},
      {"ways", ways_of_files, &profile::ways},
      {"multipart_from", size_value{}, &profile::multipart_from},
      {"quota", object_value<quota>{quota_settings}, &profile::limits},
      {"accept", object_value<accept_hook>{accept_settings}, &profile::accept},
      {"unclaimed", time_value{}, &profile::unclaimed},
      {"download", where, &profile::download},
      {"inline_types", text_list_value{}, &profile::inline_types},
      {"verify", checks_of_files, &profile::verify},
      {"on_mismatch", mismatch_value{}, &profile::on_mismatch},
      {"type_equivalents", text_lists_value{}, &profile::type_equivalents},
  };
  return all;
}

const settings_of<config::api_key>& api_key_settings() {
  using key = config::api_key;
  const choice_value<caller_right> rights{{{"sign", caller_right::sign},
                                           {"read", caller_right::read},
                                           {"user", caller_right::user},
                                           {"manage", caller_right::manage}}};
  static const settings_of<key> all{
      {"name", text_value{}, &key::name},
      {"sha256", text_value{}, &key::sha256},
      {"profiles", text_list_value{}, &key::profiles},
      {"rights", choice_list_value<caller_right>{rights}, &key::rights},
      {"expires", date_value{}, &key::expires},
  };
  return all;
}

const settings_of<config::webhook_section>& webhook_settings() {
  using webhook = config::webhook_section;
  static const settings_of<webhook> all{
      {"url", text_value{}, &webhook::url},          {"secret", secret_list_value{}, &webhook::secrets},
      {"types", text_list_value{}, &webhook::types}, {"allow_private", bool_value{}, &webhook::allow_private},
      {"ca_file", text_value{}, &webhook::ca_file},
  };
  return all;
}

} // namespace postern::app
