// The command `postern uploads webhooks`: lists waiting messages and dead letters; retries or deletes dead letters.
#pragma once

#include <postern/app/config/config.hpp>

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace postern::app {

struct webhooks_command {
  bool dead = false, json = false, retry_all = false, purge_all = false;
  std::string upload;
  std::size_t limit = 100;
  std::vector<std::string> retry, purge; // ids

  // Adds the command's options, which are parsed into this object.
  void describe(CLI::App& command);
  // Returns the exit code: 1 when an id names no dead letter, or the ledger fails.
  int run(const config& c) const;
};

} // namespace postern::app
