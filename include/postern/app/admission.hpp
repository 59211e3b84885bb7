// The chain of admission that the configuration describes, with the keys for tokens and the application that it asks.
// `node` owns it.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/flow/admission/admit.hpp>
#include <postern/io/auth/forward_auth.hpp>
#include <postern/io/auth/token_keys.hpp>
#include <postern/io/net/http_client.hpp>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace postern::app {

class admission {
public:
  // Throws std::runtime_error that names the setting when the keys for tokens, or a file of authorities, cannot be
  // used.
  explicit admission(const config& c);

  const admitter& callers() const { return admitter_; }

  // Puts the credentials of `next` into force. Throws as the constructor does, and changes nothing then. On the home
  // thread.
  void reload(const config& next);

  // One round of the background task: fetches the keys for tokens when they are due.
  task<> keep_fresh();

private:
  struct key_source {
    config::token_keys from;
    http_client* http; // null: keys of the configuration
    token_keys_ptr keys;
  };
  struct application {
    application(const config::forward_section& s, http_client& client, web_url url)
        : from(s), http(&client), asked(client, {std::move(url), s.timeout}) {}
    config::forward_section from;
    http_client* http;
    forward_auth asked;
  };
  http_client& client_for(const std::string& setting, const std::string& ca_file);
  std::vector<admission_link_ptr> links_of(const config& c);

  key_source& source_for(const config::jwt_section& s);
  forward_auth& application_for(const config::forward_section& s);

  // All stay, because calls that began before a reload may still use them. So a client, which has all authorities of
  // the system, serves all sources with the same ones.
  std::map<std::string, std::unique_ptr<http_client>> clients_; // by what their CA files contain
  std::list<key_source> sources_;
  std::list<application> applications_;
  key_source* in_use_ = nullptr; // null: no tokens
  admitter admitter_;
};

} // namespace postern::app
