// What every ledger is made with, whatever database it uses.
#pragma once

#include <postern/core/events/webhook.hpp>
#include <postern/core/upload.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace postern {

struct ledger_options {
  std::string url{}; // "sqlite:var/postern.db" (relative to the working directory), "sqlite::memory:", "postgresql://…"
  std::vector<webhook_endpoint> endpoints{}; // a message for each is recorded with each change
  std::chrono::milliseconds grace{600'000};  // from the end of a policy until the sweep checks the store
  std::chrono::milliseconds first_probe{0};  // from the signing of a form until its first probe; 0: there are no probes
  // PostgreSQL may be away when the ledger is made: the ledger then connects later, as after any other outage.
  // Otherwise that is an error.
  bool may_connect_later = false;
  // Called on the writer thread with each upload that this process changed, after the change is committed. Progress is
  // no change. It must neither block nor throw. A change whose commit succeeded but whose reply was lost is not
  // reported.
  std::function<void(const upload&)> on_change{};
};

} // namespace postern
