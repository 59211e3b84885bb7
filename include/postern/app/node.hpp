// One running Postern. The node builds all objects in dependency order from a checked configuration and destroys them
// in reverse. It is the only unit that knows all types.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/stores/stores.hpp>
#include <postern/core/claim.hpp>
#include <postern/flow/issue.hpp>
#include <postern/io/ledger.hpp>

#include <functional>
#include <memory>

namespace postern::app {

// Everything that signing a form needs, in dependency order. `postern sign` uses it without a node.
struct form_service {
  // Connects to nothing but the ledger. `records_with`: see ledger_options_of. Throws std::runtime_error that names the
  // setting.
  form_service(const config& c, const ledger_options& records_with);

  const signer own;                // Postern's own signatures, of policies and claims
  stores backends;                 // the stores' clients and credentials
  std::unique_ptr<ledger> records; // never empty until the node resets it
  const form_signer_options options;
  form_signer forms;
  form_issuer issuer;
};

// Serves until SIGTERM or SIGINT, then drains (server.drain). SIGHUP calls `load`, and takes from its configuration
// what can change while the program runs. Returns the program's exit code. Throws std::runtime_error, with the setting
// and the remedy, when something cannot be started.
int serve(const config& c, std::function<config()> load);

constexpr const char* version() { return POSTERN_VERSION; }

} // namespace postern::app
