// postern uploads webhooks: the messages that wait and the dead letters, listed, sent again or thrown away.
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

  // The options of the command, which are read into this.
  void describe(CLI::App& command);
  // Answers the exit code: 1 when an id is no dead letter's, or the ledger fails.
  int run(const config& c) const;
};

} // namespace postern::app
