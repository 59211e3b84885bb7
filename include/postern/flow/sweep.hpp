// The sweep: whatever died on the way (the browser after its last byte, a node between the object and the ledger, an
// event that never came), the ledger ends up saying what the store has. Each node runs one; nodes that share a ledger
// share its questions (ledger::due_questions). Owned by the node, on one thread.
#pragma once

#include <postern/flow/complete.hpp>
#include <postern/io/ledger.hpp>

#include <chrono>
#include <cstddef>
#include <functional>

namespace postern {

struct sweeper_options {
  std::chrono::milliseconds keep{0};       // how long uploads are remembered; 0: for ever
  std::chrono::milliseconds hold{120'000}; // how long a question is this node's own: longer than any one ingest
  std::size_t at_once = 32;                // questions asked of the store at the same time
  std::size_t batch = 1'000;               // uploads forgotten in one transaction
  std::function<millis_clock()> clock;     // what time it is; the tests have their own
};

class sweeper {
public:
  // What is passed must outlive this.
  sweeper(sweeper_options options, completer& completions, ledger& records)
      : options_(std::move(options)), completer_(completions), ledger_(records) {}

  // Asks all that is due, then forgets what is old. A store or ledger that cannot be asked ends the round: what was not
  // settled comes again.
  task<> round();

private:
  task<bool> settle(); // may more be due?
  task<> ask(upload u, bool& in_trouble);
  task<bool> forget();

  const sweeper_options options_;
  completer& completer_;
  ledger& ledger_;
};

} // namespace postern
