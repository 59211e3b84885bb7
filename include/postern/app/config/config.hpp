// The configuration: TOML and environment read into one checked value. Every key that the program knows is in one table
// in config.cpp, with its type, so that unknown keys are refused with the nearest known one named, and any key can be
// set by the environment as POSTERN_ + its path in capitals joined by __.
#pragma once

#include <postern/base/log.hpp>
#include <postern/core/profile.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace postern::app {

// Says the setting ("store.type"), what is wrong with it, and the fix.
struct config_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct config {
  struct server_section {
    std::vector<std::string> listen{"127.0.0.1:8080"}; // host:port, [v6]:port; port 0: chosen by the system
    std::string public_url = "http://localhost:8080";  // without a slash at the end
    std::string admin_listen = "127.0.0.1:8081";       // empty: none
    unsigned threads = 0;
    std::vector<secret> secrets; // at least one once loaded
    std::vector<std::string> allowed_origins;
    std::vector<std::string> trusted_proxies;
    bool demo = false;
    std::string tls_certificate, tls_key;
    std::chrono::seconds drain{30};
  } server;

  struct limits_section { // 0 switches one off
    std::uint64_t request_header = 16 << 10, json_body = 64 << 10, form_fields = 20'000;
    std::chrono::milliseconds header_timeout{10'000}, body_silence{30'000}, idle_timeout{60'000};
    std::uint64_t min_body_rate = 1024; // bytes a second
    std::uint64_t connections = 20'000, connections_per_address = 200;
    std::uint64_t sign_rate = 50, sign_burst = 100;
    std::uint64_t buffers = 512ull << 20;
  } limits;

  struct api_key {
    std::string name;
    std::string sha256; // hex of the key's SHA-256
    std::vector<std::string> profiles{"*"};
  };
  struct auth_section {
    bool anonymous = false;
    std::vector<api_key> api_keys;
  } auth;

  struct store_section {
    std::string type = "file";
    std::filesystem::path path = "var/objects";
    std::string bucket; // "local" for a directory where none is named
    std::vector<std::string> other_buckets;
    std::string region = "us-east-1";
    std::string endpoint, public_endpoint; // URLs; empty: AWS, and the endpoint
    bool path_style = false;
    std::string ca_file;
    std::chrono::milliseconds timeout{30'000}; // for any one wait for the store
    std::string access_key;                    // of [store.credentials], from here on
    secret secret_key, session_token;
    std::string profile;
    std::string role_arn, external_id, session_name = "postern", sts_endpoint;
    std::chrono::seconds duration{3600};
  } store;
  std::map<std::string, std::string> environment; // as it was at start: AWS's own variables stand there

  std::string ledger_url = "sqlite:var/postern.db";
  std::chrono::milliseconds retention = std::chrono::days(365); // of [ledger]; 0: for ever

  std::map<std::string, profile> profiles; // "default" is always there

  struct events_section {
    secret token;                        // empty: only SNS is heard
    std::vector<std::string> sns_topics; // ARNs; empty: SNS is not heard
    std::string ca_file;                 // PEM; whom to trust for SNS; empty: the system's
    std::string sns_connect_to;          // host:port where SNS is really reached; for tests and forced gateways
  } events;

  struct sweep_section {
    std::chrono::milliseconds interval{60'000}, grace{600'000};
    std::chrono::seconds claim_lifetime{24 * 3600};
  } sweep;

  struct webhook_section {
    std::string url;
    std::vector<secret> secrets; // each signs; one is enough but while they are exchanged
    std::vector<std::string> types{"*"};
    bool allow_private = false; // may be at a private address, and may be plain http
    std::string ca_file;        // PEM; empty: the system's
  };
  std::vector<webhook_section> webhooks;

  log::level log_level = log::level::info;
  log::format log_format = log::format::logfmt;
};

// Reads the file (an empty path: defaults and environment only) and the environment given as "NAME=value" strings
// (envp's form; null-terminated). Makes the file of a secret that is missing ({file=…} under server.secrets only): 32
// random bytes in hex, mode 0600. Throws config_error.
config load_config(const std::filesystem::path& file, const char* const* environment);

// For tests of single rules: the same from text.
config parse_config(std::string_view toml, const char* const* environment);

} // namespace postern::app
