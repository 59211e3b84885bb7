// One running Postern: everything built in dependency order from one checked configuration, and taken down in reverse.
// The only place that knows all types.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/storage.hpp>
#include <postern/core/claim.hpp>
#include <postern/flow/sign.hpp>
#include <postern/io/ledger.hpp>

#include <functional>
#include <memory>

namespace postern::app {

// What signing needs; also for `postern sign`, which serves nothing.
struct signing_parts {
  // `on_change`: see ledger_options.
  explicit signing_parts(const config& c, std::function<void(const upload&)> on_change = {});
  signer own;
  storage backend;
  std::unique_ptr<ledger> records;
  form_signer_options options;
  form_signer forms;
};

// Serves until SIGTERM or SIGINT, then drains. Answers the program's exit code. Throws std::runtime_error for what
// cannot be started: it names the setting and the remedy.
int serve(const config& c);

constexpr const char* version() { return POSTERN_VERSION; }

} // namespace postern::app
