// Watches whether all nodes have the same server.secrets. What another node has signed with a secret that this node
// lacks is refused here: its forms, and its claims. Each node notes the fingerprint of its first secret in the ledger.
// Owned by the node; used on its home thread.
#pragma once

#include <postern/io/ledger.hpp>

#include <chrono>
#include <set>
#include <string>
#include <vector>

namespace postern::app {

// The fingerprints with which nodes have signed since then and that are not among `own`. Fails as the ledger does.
task<result<std::vector<std::string>>> find_other_secrets(ledger& records, std::vector<std::string> own,
                                                          millis_clock since);

// How long ago another node may have signed for its secret to count: as long as its claims live, and at least as long
// as a node that has just started takes to note its own.
std::chrono::milliseconds lifetime_of_secrets(std::chrono::milliseconds claim_lifetime);

class secret_watch {
public:
  // `own`: of all secrets, the first one signs. `records` must outlive this.
  secret_watch(std::vector<std::string> own, ledger& records, std::chrono::milliseconds claim_lifetime)
      : own_(std::move(own)), ledger_(records), lifetime_(lifetime_of_secrets(claim_lifetime)) {}

  // Notes this node's secret. Logs a warning about each other secret once. While the ledger is away, does nothing.
  task<> run_round();

private:
  const std::vector<std::string> own_;
  ledger& ledger_;
  const std::chrono::milliseconds lifetime_;
  std::set<std::string> known_; // other secrets that were logged
};

} // namespace postern::app
