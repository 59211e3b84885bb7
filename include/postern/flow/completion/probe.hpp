// The prober: asks the store early about uploads whose form can still be posted, for clients that never report a
// completion (a form without success_action_redirect) and stores that send no events. The sweep asks again after the
// form has ended. Each node runs a prober; nodes that share a ledger share the probes that are due. Owned by the node,
// on one thread.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/flow/completion/complete.hpp>
#include <postern/io/ledger.hpp>

#include <chrono>
#include <cstddef>
#include <functional>

namespace postern {

// When an upload is asked about that was asked about at `now` in vain: 5 s, 15 s, 1 min, 5 min, 15 min and each further
// 15 min after it was signed. When its form has ended by then: `grace` after that end, which is the sweep's check.
millis_clock next_probe(const upload& u, std::chrono::milliseconds grace, millis_clock now);

struct prober_options {
  std::size_t max_at_once = 50;             // probes in one round, and so in one second
  std::chrono::milliseconds grace{600'000}; // as ledger_options::grace
  std::chrono::milliseconds lease{120'000}; // of a probe: longer than one can last
  std::function<millis_clock()> clock;
};

class prober {
public:
  static constexpr std::chrono::seconds first_pause{5}; // after signing

  // The references must outlive this.
  prober(prober_options options, completer& completions, ledger& records)
      : options_(std::move(options)), completer_(completions), ledger_(records) {}

  // Asks about the uploads that are due, each at most once. To be called once a second. A store that gives no answer is
  // asked no more in this round.
  task<> run_round();

private:
  task<> probe(upload u, bucket_names& silent);
  task<result<void>> complete_or_wait(upload u);

  const prober_options options_;
  completer& completer_;
  ledger& ledger_;
};

} // namespace postern
