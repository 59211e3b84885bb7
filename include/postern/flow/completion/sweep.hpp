// The sweeper: asks the store about uploads that nobody completed, so that the ledger converges on what the store has.
// A browser may die after its last byte, a node between the object and the ledger, and an event may get lost. Each node
// runs a sweeper; nodes that share a ledger share the checks that are due. Owned by the node, on one thread.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/flow/completion/complete.hpp>
#include <postern/flow/completion/remove.hpp>
#include <postern/io/ledger.hpp>

#include <chrono>
#include <cstddef>
#include <functional>

namespace postern {

struct sweeper_options {
  std::chrono::milliseconds retention{0};   // older uploads are deleted from the ledger; 0: none is
  std::chrono::milliseconds lease{120'000}; // of a check that this node took: longer than one check can last
  std::size_t max_in_flight = 32;           // checks at the same time
  std::size_t batch = 1'000;                // uploads deleted in one transaction
  std::function<millis_clock()> clock;
};

class sweeper {
public:
  // The references must outlive this.
  sweeper(sweeper_options options, completer& completions, const remover& removals, ledger& records)
      : options_(std::move(options)), completer_(completions), remover_(removals), ledger_(records) {}

  // Checks all uploads that are due, removes those that nobody has claimed in time, and deletes from the ledger those
  // that are older than the retention. A store that gives no answer is asked no more in this round, and a ledger that
  // gives none ends it; uploads that were not settled are due again.
  task<> run_round();

private:
  // `silent`: the buckets whose store gave no answer in this round.
  task<bool> settle_batch(bucket_names& silent); // true: more may be due
  task<> settle(upload u, bucket_names& silent);
  task<result<upload>> settle_quota(upload u, millis_clock now);
  task<result<upload>> delete_late_object(upload u);
  task<result<upload>> check(upload u, millis_clock now);
  task<bool> delete_batch(); // true: more may be old enough

  const sweeper_options options_;
  completer& completer_;
  const remover& remover_;
  ledger& ledger_;
};

} // namespace postern
