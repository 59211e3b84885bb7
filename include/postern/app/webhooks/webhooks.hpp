// The [[webhooks]] of the configuration, as the ledger and the notifier need them. Made at start, once checked.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/flow/notify.hpp>
#include <postern/io/net/http_client.hpp>

#include <deque>
#include <vector>

namespace postern::app {

// For ledger_options: which endpoints get which types.
std::vector<webhook_endpoint> webhook_endpoints_of(const config& c);

// One HTTP client for each endpoint, so that a slow endpoint or name server delays no other. Must outlive the
// io_contexts that use it.
class webhook_clients {
public:
  // Throws config_error when a ca_file cannot be used.
  explicit webhook_clients(const config& c);

  const std::vector<webhook_target>& endpoints() const { return endpoints_; }
  notifier_options options() const; // with the system's clock and random numbers

private:
  std::deque<http_client> clients_;
  std::vector<webhook_target> endpoints_;
};

} // namespace postern::app
