// The chain of admission that the configuration describes, and the keys for tokens that it uses. `node` owns it.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/flow/admission/admit.hpp>
#include <postern/io/auth/token_keys.hpp>
#include <postern/io/net/http_client.hpp>

#include <list>

namespace postern::app {

class admission {
public:
  // Throws config_error when the keys for tokens cannot be used.
  explicit admission(const config& c);

  const admitter& callers() const { return admitter_; }

  // Puts the credentials of `next` into force. Throws config_error and changes nothing when its keys cannot be used.
  // On the home thread.
  void reload(const config& next);

  // One round of the background task: fetches the keys for tokens when they are due.
  task<> keep_fresh();

private:
  struct key_source {
    explicit key_source(const config::jwt_section& s);
    const config::jwt_section settings;
    http_client http;
    const token_keys_ptr keys;
  };
  std::vector<admission_link_ptr> links_of(const config& c);

  // The last one is in use. Calls that began before a reload may still use an earlier one, so all stay.
  std::list<key_source> sources_;
  admitter admitter_;
};

} // namespace postern::app
