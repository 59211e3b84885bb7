// The configuration as one checked value, read from a TOML file and the environment. The members follow the sections of
// the file. Each value is constant, and any thread may read it. SIGHUP reads a new one, from which a running node takes
// some settings (app/config/changes).
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/log.hpp>
#include <postern/core/caller.hpp>
#include <postern/core/profile.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

// The message names the setting, the wrong value, the rule and the remedy.
struct config_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct config {
  struct server_section {
    std::vector<std::string> listen{"127.0.0.1:8080"}; // see front::parse_listen_address
    std::string public_url = "http://localhost:8080";  // what browsers call the server; no slash at the end
    std::string admin_listen = "127.0.0.1:8081";       // empty: no admin listener
    std::vector<std::string> admin_hosts;              // further names of the admin listener
    unsigned threads = 0;                              // 0: one a core
    std::vector<secret> secrets;                       // the first one signs, all verify; never empty once loaded
    bool lacks_secret_file = false; // var/secret does not exist yet, and a random secret stands for it: do not sign
    std::vector<std::string> allowed_origins; // exact: "https://app.example.com"
    std::vector<std::string> trusted_proxies; // addresses and CIDR networks
    bool demo = false;
    std::chrono::seconds drain{30};
    std::string tls_certificate, tls_key; // [server.tls]: PEM files; empty: plain HTTP
  } server;

  struct limits_section {                                                                // 0 switches a limit off
    std::uint64_t request_header = 16 << 10, json_body = 64 << 10, form_fields = 20'000; // bytes
    std::chrono::milliseconds header_timeout{10'000}, body_silence{30'000}, idle_timeout{60'000};
    std::uint64_t min_body_rate = 1024; // bytes a second
    std::uint64_t connections = 20'000, connections_per_address = 200;
    std::uint64_t sign_rate = 50, sign_burst = 100;                 // forms a second and user
    std::uint64_t status_rate = 100, status_burst = 500;            // questions a second, by address and by user
    std::uint64_t event_stream_rate = 20, event_stream_burst = 400; // that begin in a second, likewise
    std::uint64_t event_streams = 200;                              // at the same time, likewise
    std::uint64_t buffers = 512ull << 20;                           // bytes
    std::uint64_t store_requests = 500; // fallback uploads that send to the store at the same time
  } limits;

  struct api_key {
    std::string name;
    std::string sha256; // of the key, lower-case hex
    std::vector<std::string> profiles{"*"};
    std::vector<caller_right> rights{caller_right::sign, caller_right::read};
    std::optional<seconds_clock> expires; // nothing: never
    bool operator==(const api_key&) const = default;
  };
  // Where the keys for tokens come from: public keys (a PEM or a JWK Set each) and shared secrets, or one URL.
  struct token_keys {
    std::string url;
    std::vector<secret> public_keys, shared_secrets;
    bool empty() const { return url.empty() && public_keys.empty() && shared_secrets.empty(); }
    bool operator==(const token_keys&) const = default;
  };
  struct auth_section {
    bool anonymous = false;
    std::vector<api_key> api_keys;
  } auth;

  struct jwt_section {                   // [auth.jwt]
    token_keys keys;                     // empty: no token is accepted
    std::vector<std::string> algorithms; // empty: each key's own
    std::string issuer, audience;        // empty: any
    std::chrono::seconds leeway{60};
    std::string profiles_claim, max_size_claim, quota_claim; // empty: all profiles, and the profile's limits
    std::string ca_file;                                     // PEM; authorities for the URL; empty: the system's
  } jwt;

  struct forward_section { // [auth.forward]
    std::string url;       // empty: the application is not asked
    std::string user_header = "X-User";
    std::string profiles_header, limits_header; // empty: all profiles, and the profile's limits
    std::chrono::milliseconds timeout{2'000};   // of one question
    std::chrono::seconds cache{0};              // how long an answer that admits is used again
    std::vector<std::string> send{"cookie", "authorization"};
    std::string ca_file; // PEM; authorities for the URL; empty: the system's
    bool operator==(const forward_section&) const = default;
  } forward;

  enum class direct_way { form, put, multipart };
  struct store_section {
    std::string name;                           // of one of [[stores]]; empty: [store]
    std::string type = "file";                  // or "s3"
    std::filesystem::path path = "var/objects"; // of the file store
    std::string bucket;                         // empty: "local" with the file store
    std::vector<std::string> other_buckets;
    std::string region = "us-east-1";
    std::string endpoint, public_endpoint; // URLs; empty: AWS, and the same as endpoint
    bool path_style = false;
    std::string ca_file;                        // PEM; empty: the system's authorities
    std::chrono::milliseconds timeout{30'000};  // of each wait for the store
    std::chrono::milliseconds deadline{45'000}; // of one operation, over all its tries
    // How browsers may reach the store themselves. Nothing: as the store is seen to support; empty: not at all.
    std::optional<std::vector<direct_way>> ways;
    bool sends_checksums = true;     // where the store verifies them; false: x-amz-checksum-* is never sent
    bool sends_if_none_match = true; // where the store takes it
    // [store.credentials]
    std::string access_key;
    secret secret_key, session_token;
    std::string profile; // of AWS's shared files
    std::string role_arn, external_id, session_name = "postern", sts_endpoint;
    std::chrono::seconds duration{3600}; // of the role's session

    bool names_bucket(std::string_view wanted) const; // in bucket or other_buckets
    // Its setting `of` as messages name it: "store.region", "stores.archive.region".
    std::string setting(std::string_view of) const;
    // The line above its settings in the file, for examples: "[store.credentials]", "[[stores]]  # that with …".
    std::string header(std::string_view subsection = {}) const;
    bool operator==(const store_section&) const = default;
  } store;
  std::vector<store_section> stores; // [[stores]]: further ones

  struct ledger_section {
    std::string url = "sqlite:var/postern.db";
    std::chrono::milliseconds retention = std::chrono::days(365); // 0: for ever
  } ledger;

  std::map<std::string, profile> profiles; // by name; "default" always exists

  struct events_section {
    secret token;                        // empty: only SNS may send events
    std::vector<std::string> sns_topics; // ARNs; empty: SNS may not
    std::string ca_file;                 // PEM; authorities for SNS; empty: the system's
    std::string sns_connect_to;          // host:port; SNS is reached there instead, through a gateway
  } events;

  struct sweep_section {
    std::chrono::milliseconds interval{60'000}, grace{600'000};
    std::chrono::seconds claim_lifetime{24 * 3600};
    bool probe = true;                               // ask about uploads before their form has ended, too
    std::uint64_t probe_rate = 50;                   // store requests a second, at most
    std::chrono::seconds multipart_grace{24 * 3600}; // without a call for so long, a multipart upload is aborted
  } sweep;

  struct webhook_section {
    std::string url;
    std::vector<secret> secrets; // each one signs; two while one replaces the other
    std::vector<std::string> types{"*"};
    bool allow_private = false; // allow private addresses and plain HTTP
    std::string ca_file;        // PEM; empty: the system's authorities
    bool operator==(const webhook_section&) const = default;
  };
  std::vector<webhook_section> webhooks;

  struct logging_section { // [log]
    log::level level = log::level::info;
    log::format format = log::format::logfmt;
  } logging;

  // No request can be admitted: there are no credentials, and callers without credentials are refused.
  bool admits_nobody() const {
    return !auth.anonymous && auth.api_keys.empty() && jwt.keys.empty() && forward.url.empty();
  }

  // The store of that name; empty: [store]. nullptr: there is none.
  const store_section* find_store(std::string_view name) const;
  // The store that has this bucket: the one that names it, else the one whose other_buckets has "*". nullptr: none.
  const store_section* find_store_of_bucket(std::string_view bucket) const;

  std::map<std::string, std::string> environment; // at start; AWS's own variables are read from it
  std::map<std::string, std::string> variables;   // the variable that gave a setting, by the setting's path
  std::vector<std::string> other_variables;       // begin with POSTERN_ and are no settings
};

// Reads the file, then the environment, which overrides it, and checks the result. An empty path: the environment only.
// `environment` is null-terminated "NAME=value" strings, like envp. Writes nothing. Throws config_error.
config load_config(const std::filesystem::path& file, const char* const* environment);

// The same for TOML text.
config parse_config(std::string_view toml, const char* const* environment);

// An error that begins with a setting's path and was found after the check ("ledger.url: …"). If a variable gave the
// setting, its name takes the place of the path.
std::string with_variable(const config& c, const std::string& error);

} // namespace postern::app
