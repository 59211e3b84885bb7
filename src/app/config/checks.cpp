#include <postern/app/config/checks.hpp>
#include <postern/app/config/jwt_keys.hpp>
#include <postern/app/config/secret_file.hpp>
#include <postern/app/config/spelling.hpp>
#include <postern/app/config/units.hpp>
#include <postern/app/config/webhook_checks.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/core/download_rules.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/s3/aws_names.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/core/upload.hpp>
#include <postern/front/listen_address.hpp>
#include <postern/front/trusted_proxies.hpp>
#include <postern/io/ledger/make_ledger.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

namespace postern::app {
namespace {

using namespace std::chrono_literals;

constexpr const char* too_short = "has fewer than 16 bytes; make one with: openssl rand -hex 32";

void require(bool is_right, const std::string& setting, const std::string& what) {
  if (!is_right) throw config_error(setting + ": " + what);
}

bool is_origin(std::string_view text) { return !text.empty() && text == origin_of(text); }

// Runs a check that throws some other exception than config_error.
template <class Check> void check_as(const std::string& setting, Check check) {
  try {
    check();
  } catch (const std::exception& e) {
    throw config_error(setting + ": " + e.what());
  }
}

void check_server(config::server_section& s) {
  while (s.public_url.ends_with('/')) s.public_url.pop_back();
  require(!s.public_url.empty(), "server.public_url",
          "is empty; set it to the http or https URL that browsers use, such as https://uploads.example.com");
  require(is_web_url(s.public_url) && s.public_url.find_first_of("?#") == s.public_url.npos, "server.public_url",
          quote(s.public_url) +
              " is not an http or https URL without a query; write it like https://uploads.example.com");
  require(!s.listen.empty(), "server.listen", "is empty; name an address such as 127.0.0.1:8080");
  for (const auto& address : s.listen) check_as("server.listen", [&] { front::parse_listen_address(address); });
  if (!s.admin_listen.empty()) check_as("server.admin_listen", [&] { front::parse_listen_address(s.admin_listen); });
  for (const auto& o : s.allowed_origins)
    require(is_origin(o), "server.allowed_origins",
            quote(o) +
                " is not an exact origin; write it like https://app.example.com, in small letters, without a path");
  check_as("server.trusted_proxies", [&] { front::trusted_proxies{s.trusted_proxies}; });
  require(s.tls_certificate.empty() == s.tls_key.empty(), "server.tls",
          "names only one file; set both certificate and key, or neither");
}

// An empty secret comes from the default file, which does not exist yet.
void check_secrets(config::server_section& s) {
  if (s.secrets.empty())
    check_as("server.secrets", [&] { s.secrets.push_back(read_server_secret(default_secret_file)); });
  for (auto& one : s.secrets) {
    if (one.empty()) {
      one = random_secret();
      s.lacks_secret_file = true;
    }
    require(one.reveal().size() >= min_secret, "server.secrets", std::string("a secret ") + too_short);
  }
}

// A limit of 0 is switched off. A smaller one than `least` would refuse every request.
void check_limits(const config::limits_section& l) {
  const auto check = [](const std::string& setting, std::uint64_t value, std::uint64_t least) {
    require(value == 0 || value >= least, setting,
            size_text(value) + " is too small; the minimum is " + size_text(least) + ", and 0 switches the limit off");
  };
  check("limits.request_header", l.request_header, 8 << 10);
  check("limits.buffers", l.buffers, 8 << 20);
}

// Two entries with the same name or the same digest are a mistake: only one of them would count.
void check_is_unique(const std::vector<config::api_key>& keys, std::size_t at) {
  for (std::size_t before = 0; before < at; ++before) {
    require(keys[before].name != keys[at].name, "auth.api_keys",
            "two keys have the name " + quote(keys[at].name) + "; give each key its own name");
    require(keys[before].sha256 != keys[at].sha256, "auth.api_keys",
            quote(keys[before].name) + " and " + quote(keys[at].name) +
                " have the same sha256; make a key for each of them");
  }
}

void check_api_keys(std::vector<config::api_key>& keys) {
  for (auto& key : keys) {
    check_api_key_name(key.name);
    const auto has = [&](caller_right r) { return std::count(key.rights.begin(), key.rights.end(), r) > 0; };
    require(has(caller_right::sign) || has(caller_right::read) || has(caller_right::manage), "auth.api_keys",
            "rights of " + quote(key.name) +
                " have none of \"sign\", \"read\" and \"manage\", so the key can do nothing");
    key.sha256 = lower(key.sha256);
    const auto bytes = from_hex(key.sha256);
    require(bytes && bytes->size() == 32, "auth.api_keys",
            "sha256 of " + quote(key.name) + " is not 64 hex digits; make it with: printf %s KEY | sha256sum");
    check_is_unique(keys, static_cast<std::size_t>(&key - keys.data()));
  }
}

void check_jwt(const config::jwt_section& jwt) {
  const std::vector<std::string> known(verifying_key::names.begin(), verifying_key::names.end());
  for (const auto& name : jwt.algorithms)
    require(std::find(known.begin(), known.end(), name) != known.end(), "auth.jwt.algorithms",
            quote(name) + " is not one of: HS256, RS256, ES256, EdDSA" + suggestion(name, known));
  const bool is_begun =
      !(jwt.issuer + jwt.audience + jwt.profiles_claim + jwt.max_size_claim + jwt.quota_claim + jwt.ca_file).empty() ||
      !jwt.algorithms.empty();
  require(!is_begun || !jwt.keys.empty(), "auth.jwt.keys", "is missing; without it no token is accepted");
  require(jwt.leeway <= 10min, "auth.jwt.leeway", time_text(jwt.leeway) + " is too long; the maximum is 10m");
  if (!jwt.keys.url.empty()) token_keys_url(jwt);
  const token_rules rules{.algorithms = jwt.algorithms};
  for (const auto& key : read_token_keys(jwt))
    require(rules.allows(key.key.name()), "auth.jwt.algorithms",
            "does not have " + std::string(key.key.name()) + ", the algorithm of one of auth.jwt.keys");
}

void check_profiles_of_keys(const config& c) {
  std::vector<std::string> known;
  for (const auto& [name, p] : c.profiles) known.push_back(name);
  for (const auto& key : c.auth.api_keys)
    for (const auto& name : key.profiles)
      require(name == "*" || c.profiles.contains(name), "auth.api_keys",
              "profiles of " + quote(key.name) + ": there is no profile " + quote(name) + suggestion(name, known));
}

bool is_at_aws(const config::store_section& s) {
  const auto at = parse_web_url(s.endpoint);
  return s.type == "s3" && (s.endpoint.empty() || (at && is_aws_s3_host(at->server.host)));
}

void check_bucket_name(const config::store_section& s, const std::string& setting, const std::string& name) {
  const auto why = why_no_bucket(name, is_at_aws(s));
  require(why.empty(), setting, quote(name) + " " + why);
}

// An endpoint of S3 is a server: signatures and forms name the bucket and the key right behind it.
void check_endpoint(const std::string& setting, const std::string& endpoint) {
  if (endpoint.empty()) return;
  const auto url = parse_web_url(endpoint);
  require(url.has_value(), setting,
          quote(endpoint) + " is not an http or https URL; write it like https://s3.example.com");
  require(url->target == "/", setting,
          quote(endpoint) + " has a path or a query, which S3 has no place for; write " + url->server.origin());
  const auto why = why_no_endpoint(url->server.host);
  require(why.empty(), setting, quote(endpoint) + " " + why);
}

// The address of a database without user, password and parameters. The text is no URL that Postern can read, so where
// a password may begin or end in several places, only the scheme is left.
std::string without_password(const std::string& url) {
  const auto parameters = std::min(url.find_first_of("?= "), url.size());
  const auto at = url.rfind('@'), colon = url.find(':');
  if (at == url.npos) return url.substr(0, parameters);
  const auto scheme = colon < at ? url.substr(0, colon + 1) : "";
  return scheme + "…" + (at < parameters ? url.substr(at, parameters - at) : "");
}

void check_ledger(const config::ledger_section& l) {
  require(is_ledger_url(l.url), "ledger.url",
          quote(without_password(l.url)) + " is not the URL of a ledger; write it like sqlite:var/postern.db or "
                                           "postgresql://user@host/database");
  require(!l.url.starts_with("sqlite://"), "ledger.url",
          quote(l.url) + " must not have // after sqlite:; write the path alone, like sqlite:var/postern.db");
  require(l.url != "sqlite::memory:", "ledger.url", quote(l.url) + " would be lost with the process; name a file");
}

void check_store(config::store_section& s) {
  require(s.type == "s3" || s.type == "file", s.setting("type"), quote(s.type) + " is neither \"s3\" nor \"file\"");
  if (s.type == "file" && s.bucket.empty()) s.bucket = "local";
  require(!s.bucket.empty(), s.setting("bucket"), "is empty; name the bucket in S3");
  check_bucket_name(s, s.setting("bucket"), s.bucket);
  for (const auto& name : s.other_buckets)
    if (name != "*") check_bucket_name(s, s.setting("other_buckets"), name);
  require(!s.region.empty(), s.setting("region"), "is empty; name a region such as eu-west-1");
  require(is_region_name(s.region), s.setting("region"),
          quote(s.region) + " cannot be the name of a region; use letters, digits and hyphens, as in eu-west-1");
  require(s.deadline >= 1s && s.deadline <= 1h, s.setting("deadline"),
          time_text(s.deadline) + " is out of range; it must be 1s to 1h, and less than what proxies in front allow");
  require(s.type == "s3" || !s.ways || s.ways->empty(), s.setting("ways"),
          "names ways to S3, and " + s.setting("type") +
              " is \"file\": browsers reach a directory through Postern only");
  check_endpoint(s.setting("endpoint"), s.endpoint);
  check_endpoint(s.setting("public_endpoint"), s.public_endpoint);
  require(s.sts_endpoint.empty() || is_web_url(s.sts_endpoint), s.setting("credentials.sts_endpoint"),
          quote(s.sts_endpoint) + " is not an http or https URL; write it like https://sts.example.com");
}

void check_credentials(const config::store_section& s) {
  require(s.access_key.empty() == s.secret_key.empty(), s.setting("credentials"),
          "only one of access_key and secret_key is set; set both, or neither");
  require(s.session_token.empty() || !s.access_key.empty(), s.setting("credentials.session_token"),
          "is set without access_key and secret_key; set them too");
  require(s.profile.empty() || s.access_key.empty(), s.setting("credentials.profile"),
          quote(s.profile) + " and access_key are both set; remove one of them");
  require(s.external_id.empty() || !s.role_arn.empty(), s.setting("credentials.external_id"),
          quote(s.external_id) + " is for a role; set role_arn too");
  require(s.role_arn.empty() || s.role_arn.starts_with("arn:"), s.setting("credentials.role_arn"),
          quote(s.role_arn) + " is not an ARN; write it like arn:aws:iam::123456789012:role/uploader");
  require(s.duration > 0s && s.duration <= 12h, s.setting("credentials.duration"),
          time_text(s.duration) + " is out of range; AWS allows up to 12h");
}

// The ledger and events name only the bucket, so a bucket must belong to one store.
void check_bucket_is_in_one_store(std::map<std::string, std::string>& setting_of, const std::string& bucket,
                                  const std::string& setting) {
  const auto [other, is_new] = setting_of.emplace(bucket, setting);
  require(is_new || other->second == setting, setting,
          quote(bucket) + " is named in " + other->second +
              ", too; a bucket belongs to one store, so name it in one of them");
}

// Of two file stores, one would list the other's objects as its own.
void check_folders(const std::vector<config::store_section*>& all) {
  const auto folder_of = [](const config::store_section& s) {
    auto path = std::filesystem::absolute(s.path).lexically_normal().string();
    return path.ends_with('/') ? path : path + "/";
  };
  for (const auto* a : all)
    for (const auto* b : all)
      require(a == b || a->type != "file" || b->type != "file" || !folder_of(*b).starts_with(folder_of(*a)),
              b->setting("path"),
              quote(b->path.string()) + " is, or is in, the folder of " + a->setting("path") +
                  "; give each store a folder of its own");
}

void check_stores(config& c) {
  std::set<std::string> names;
  std::map<std::string, std::string> bucket_settings;
  std::vector<config::store_section*> all{&c.store};
  for (auto& s : c.stores) {
    require(!s.name.empty(), "stores", "a store has no name; write name = \"archive\" or the like");
    require(is_plain_name(s.name) && std::isalnum(static_cast<unsigned char>(s.name.front())), "stores",
            quote(s.name) + " is not the name of a store: it may have letters, digits, - _ and . only, and begins with "
                            "a letter or digit");
    require(s.type != "file" || s.endpoint.empty(), s.setting("endpoint"),
            quote(s.endpoint) + " is for S3; set " + s.setting("type") + " = \"s3\"");
    require(s.name != "default", "stores", "\"default\" is the name of [store]; choose another one");
    require(names.insert(s.name).second, "stores", "two stores have the name " + quote(s.name));
    all.push_back(&s);
  }
  for (auto* s : all) {
    check_store(*s);
    check_credentials(*s);
    check_bucket_is_in_one_store(bucket_settings, s->bucket, s->setting("bucket"));
    for (const auto& other : std::set<std::string>(s->other_buckets.begin(), s->other_buckets.end()))
      if (other != s->bucket) check_bucket_is_in_one_store(bucket_settings, other, s->setting("other_buckets"));
  }
  check_folders(all);
}

void check_return_to(const std::string& setting, const std::string& url) {
  require(is_web_url(url), setting, quote(url) + " is not an absolute http or https URL");
  require(!origin_of(url).ends_with('*'), setting, quote(url) + " matches other hosts too; write a / behind the host");
}

void check_key(const std::string& section, profile& p) {
  const auto setting = section + "key";
  std::vector<std::pair<std::string, std::string>> metadata;
  for (auto& name : p.key_metadata) {
    name = lower(name);
    require(is_plain_name(name), section + "key_metadata",
            quote(name) + " is no name of metadata: it may have letters, digits, - _ and . only");
    require(p.key.find("${meta." + name + "}") != p.key.npos, section + "key_metadata",
            quote(name) + " is not used; write it as ${meta." + name + "} in " + setting);
    metadata.emplace_back(name, "value");
  }
  if (auto key = fill_key(p.key, {"id", "name", "user", "profile", "date", metadata}); !key)
    throw config_error(
        setting + ": " + quote(p.key) + ": " + key.error().on +
        (key.error().code == errc::invalid_argument
             ? "; the known names are ${id}, ${filename}, ${user}, ${profile}, ${date}, and ${meta.NAME} "
               "for each name in key_metadata"
             : ""));
  require(p.overwrite || p.key.find("${id}") != p.key.npos, setting,
          quote(p.key) +
              " must contain ${id}, so that no upload replaces another's object; overwrite = true allows it");
}

// Values that go into the form as they are written.
void check_form_values(const std::string& section, const profile& p) {
  for (const auto& type : p.content_types)
    require(type.find('/') != type.npos, section + "content_types",
            quote(type) + " is not a media type; write it like image/png, image/* or */*");
  for (const auto& type : p.inline_types) {
    require(type.find('/') != type.npos, section + "inline_types",
            quote(type) + " is not a media type; write it like image/png, image/* or */*");
    require(type.ends_with("/*") || !is_active_type(type), section + "inline_types",
            "a browser could run a file of type " + quote(type) + ", so it is never shown; remove it");
  }
  // The canned ACLs of S3 that an object may have; log-delivery-write is for buckets only.
  static const std::array<std::string_view, 7> acls{
      "private",       "public-read",       "public-read-write",        "authenticated-read",
      "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control"};
  std::string all;
  for (const auto acl : acls) all.append(all.empty() ? "" : ", ").append(acl);
  require(p.acl.empty() || std::find(acls.begin(), acls.end(), p.acl) != acls.end(), section + "acl",
          quote(p.acl) + " is not one of S3's canned ACLs: " + all);
}

// What libmagic may find for a declared type. The names are compared in lower case.
void check_type_equivalents(const std::string& section, profile& p) {
  const auto setting = section + "type_equivalents";
  type_equivalents checked;
  for (const auto& [declared, findings] : p.type_equivalents) {
    require(is_media_type(declared) && declared.find_first_of(";*") == declared.npos, setting,
            quote(declared) + " is not a media type without parameters; write it like \"text/csv\" = [\"text/plain\"]");
    for (const auto& one : findings)
      require(is_media_type(one) && one.find(';') == one.npos, setting,
              quote(one) + " is not a media type without parameters; write it like text/plain or text/*");
    auto& list = checked[lower(declared)];
    list.insert(list.end(), findings.begin(), findings.end());
  }
  p.type_equivalents = std::move(checked);
  require(p.type_equivalents.empty() || p.checks(profile_check::type), setting,
          "has no effect; " + section + "verify must have \"type\"");
}

void check_store_of(const config& c, const std::string& section, profile& p) {
  const auto* own = c.find_store(p.store);
  std::vector<std::string> names;
  for (const auto& s : c.stores) names.push_back(s.name);
  require(own != nullptr, section + "store",
          p.store == "default" ? "leave it out for [store]"
                               : "there is no store " + quote(p.store) + " in [[stores]]" + suggestion(p.store, names));
  if (p.bucket.empty()) p.bucket = own->bucket;
  const auto* has_it = c.find_store_of_bucket(p.bucket);
  const auto remedy = has_it && !has_it->name.empty() ? "; set " + section + "store = " + quote(has_it->name) : "";
  require(has_it == own, section + "bucket",
          quote(p.bucket) + " is neither " + own->setting("bucket") + " nor in " + own->setting("other_buckets") +
              remedy);
}

void check_profile(config& c, profile& p) {
  const auto section = "profiles." + p.name + ".";
  check_store_of(c, section, p);
  check_bucket_name(*c.find_store(p.store), section + "bucket", p.bucket);
  check_key(section, p);
  check_form_values(section, p);
  check_type_equivalents(section, p);
  require(p.min_size <= p.max_size, section + "min_size",
          size_text(p.min_size) + " is larger than max_size, " + size_text(p.max_size));
  require(p.expires > 0s && p.expires <= std::chrono::days(7), section + "expires",
          time_text(p.expires) + " is out of range; it must be 1s to 7d");
  for (const auto& url : p.return_to) check_return_to(section + "return_to", url);
  check_accept_hook(p);

  require(c.sweep.claim_lifetime >= p.expires, "sweep.claim_lifetime",
          time_text(c.sweep.claim_lifetime) + " is shorter than " + section + "expires, " + time_text(p.expires));
  // A claim that outlives its row would complete the upload a second time.
  const std::chrono::milliseconds needed = c.sweep.claim_lifetime + p.expires + c.sweep.grace;
  require(c.ledger.retention == 0s || c.ledger.retention >= needed, "ledger.retention",
          time_text(c.ledger.retention) + " is shorter than sweep.claim_lifetime, sweep.grace and " + section +
              "expires together, " + time_text(needed) + "; 0 keeps all uploads");
  const std::chrono::milliseconds judged = p.accept.exists() ? p.accept.deadline : 0s;
  require(c.ledger.retention == 0s || p.unclaimed + judged + needed <= c.ledger.retention, section + "unclaimed",
          time_text(p.unclaimed) +
              ", with the times of its form, claim and verdict, is longer than ledger.retention, " +
              time_text(c.ledger.retention) + ": the upload would be forgotten before it is removed");
}

void check_events(const config::events_section& e) {
  require(e.token.empty() || e.token.reveal().size() >= min_secret, "events.token", too_short);
  for (const auto& arn : e.sns_topics)
    require(arn.starts_with("arn:") && arn.find(":sns:") != arn.npos && arn.find('*') == arn.npos, "events.sns_topics",
            quote(arn) + " is not a topic's ARN; write it like arn:aws:sns:eu-west-1:123456789012:uploads");
  const auto to = parse_web_url("http://" + e.sns_connect_to);
  const bool is_address = to && lower(e.sns_connect_to) == to->server.host + ":" + std::to_string(to->server.port);
  require(e.sns_connect_to.empty() || is_address, "events.sns_connect_to",
          quote(e.sns_connect_to) + " is not host:port; write it like 127.0.0.1:8443");
}

void check_forward(const config::forward_section& f) {
  const config::forward_section unset;
  require(!f.url.empty() || f == unset, "auth.forward.url", "is missing; without it the application is not asked");
  if (f.url.empty()) return;
  const auto url = parse_web_url(f.url);
  require(url.has_value(), "auth.forward.url",
          quote(f.url) + " is not an http or https URL; write it like http://app.internal/authorize");
  const auto check_header = [](const std::string& setting, const std::string& name) {
    require(name.empty() || is_plain_name(name), setting,
            quote(name) + " is not the name of a header field; write it like X-User");
  };
  require(!f.user_header.empty(), "auth.forward.user_header", "is empty; it names the field that says who the user is");
  check_header("auth.forward.user_header", f.user_header);
  check_header("auth.forward.profiles_header", f.profiles_header);
  check_header("auth.forward.limits_header", f.limits_header);
  require(f.timeout >= 100ms && f.timeout <= 10s, "auth.forward.timeout",
          time_text(f.timeout) + " is out of range; it must be 100ms to 10s");
  require(f.cache <= 10min, "auth.forward.cache", time_text(f.cache) + " is too long; the maximum is 10m");
  require(!f.send.empty(), "auth.forward.send", "is empty; it needs \"cookie\", \"authorization\" or both");
  for (const auto& one : f.send)
    require(one == "cookie" || one == "authorization", "auth.forward.send",
            quote(one) + " is neither \"cookie\" nor \"authorization\"" + suggestion(one, {"cookie", "authorization"}));
}

} // namespace

void check_api_key_name(std::string_view name) {
  const auto why = why_no_key_part(name);
  require(why.empty(), "auth.api_keys", "the name " + quote(name) + " stands for ${user} in keys; it " + why);
  require(name != "jwt" && name != "forward", "auth.api_keys",
          "the name " + quote(name) + " is that of all callers of auth." + std::string(name) + "; choose another");
}

void complete_and_check(config& c) {
  check_server(c.server);
  check_secrets(c.server);
  check_limits(c.limits);
  check_api_keys(c.auth.api_keys);
  check_jwt(c.jwt);
  check_forward(c.forward);
  check_stores(c);
  check_ledger(c.ledger);
  check_events(c.events);
  require(c.sweep.interval >= 100ms, "sweep.interval",
          time_text(c.sweep.interval) + " is too short; the minimum is 100ms");
  require(c.sweep.probe_rate >= 1 && c.sweep.probe_rate <= 1000, "sweep.probe_rate",
          std::to_string(c.sweep.probe_rate) +
              " is out of range; it must be 1 to 1000. sweep.probe = false switches the "
              "probes off");
  c.profiles["default"].name = "default";
  for (auto& [name, p] : c.profiles) check_profile(c, p);
  check_profiles_of_keys(c);
  check_webhooks(c);
}

} // namespace postern::app
