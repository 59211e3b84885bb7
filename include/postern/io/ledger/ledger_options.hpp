// What every ledger is made with, whatever database it uses.
#pragma once

#include <postern/core/events/webhook.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace postern {

struct ledger_options {
  std::string url{}; // "sqlite:var/postern.db" (relative to the working directory), "sqlite::memory:", "postgresql://…"
  std::vector<webhook_endpoint> endpoints{}; // a message for each is recorded with each change
  std::chrono::milliseconds grace{600'000};  // from the end of a policy until the sweep checks the store
};

} // namespace postern
