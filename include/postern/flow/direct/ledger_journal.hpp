// The journal of this node's multipart uploads, kept in the ledger. As long as the node lives, it extends its entries;
// when it has died, they become due, and the abandoned uploads are aborted by any node. Owned by the node, shared by
// all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/multipart_journal.hpp>

#include <chrono>
#include <functional>
#include <mutex>
#include <set>
#include <string>

namespace postern {

class ledger_journal final : public multipart_journal {
public:
  // An entry is due `lease` after its node last extended it. `records` must outlive this.
  ledger_journal(ledger& records, std::chrono::milliseconds lease, std::function<millis_clock()> clock)
      : ledger_(records), lease_(lease), clock_(std::move(clock)) {}

  task<std::string> begin(object_name name, std::uint64_t bytes) override;
  task<> name(std::string id, std::string store_id) override;
  void end(std::string id) override;
  void abandon(std::string id) override;

  // Extends the entries of this node. To be called several times in each `lease`.
  void extend();

private:
  ledger& ledger_;
  const std::chrono::milliseconds lease_;
  const std::function<millis_clock()> clock_;
  std::mutex mutex_; // guards open_
  std::set<std::string> open_;
};

} // namespace postern
