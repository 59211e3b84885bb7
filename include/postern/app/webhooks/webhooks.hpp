// The [[webhooks]] of the configuration: checked, as the ledger is told of them, and as they are delivered to.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/flow/notify.hpp>
#include <postern/io/net/http_client.hpp>

#include <deque>
#include <vector>

namespace postern::app {

// For ledger_options.
std::vector<webhook_endpoint> webhook_endpoints_of(const config& c);

// Every endpoint has a client of its own: its CA, its addresses, and its name's resolution hold up nobody else. Must
// outlive the loops that use it.
class webhook_clients {
public:
  // Throws config_error when a CA file cannot be used.
  explicit webhook_clients(const config& c);

  const std::vector<webhook_target>& endpoints() const { return endpoints_; }
  notifier_options options() const; // with the system's clock and chance

private:
  std::deque<http_client> clients_;
  std::vector<webhook_target> endpoints_;
};

} // namespace postern::app
