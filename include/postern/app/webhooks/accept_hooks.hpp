// The accept hooks of the configuration's profiles, as the acceptor needs them. Made at start, once checked.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/flow/accept.hpp>
#include <postern/io/net/http_client.hpp>

#include <chrono>
#include <deque>
#include <map>
#include <string>

namespace postern::app {

// One HTTP client for each hook. Must outlive the io_contexts that use it.
class accept_hooks {
public:
  // Throws config_error when a ca_file cannot be used.
  explicit accept_hooks(const config& c);

  acceptor_options options() const; // with the system's clock and random numbers

private:
  std::deque<http_client> clients_;
  std::map<std::string, verdict_hook> hooks_; // by profile
  std::chrono::milliseconds longest_timeout_{0};
};

} // namespace postern::app
