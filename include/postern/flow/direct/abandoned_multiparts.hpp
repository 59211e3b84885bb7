// Aborts multipart uploads that nobody continues: their client has stayed away, or the node that sent their parts has
// died. A store keeps, and charges for, parts that are neither completed nor aborted. Each node looks for them; nodes
// that share a ledger share those that are due. Owned by the node, on one thread.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/multipart_store.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <cstddef>
#include <functional>

namespace postern {

// By then a node has recorded the store's id of what it began, or it has died.
inline constexpr std::chrono::minutes max_beginning{2};

class abandoned_multiparts {
public:
  // The references must outlive this.
  abandoned_multiparts(store& objects, ledger& records, std::function<millis_clock()> clock)
      : store_(objects), ledger_(records), clock_(std::move(clock)) {}

  // Aborts all that are due. A store that gives no answer is asked no more in this round; what could not be aborted is
  // due again. Also measures how many are open.
  task<> run_round();

private:
  static constexpr std::size_t batch = 32;
  static constexpr std::chrono::seconds lease{120}; // of a batch; a row that was leased again is left to the other
  static constexpr std::chrono::seconds pause_while_beginning{30};

  task<bool> abort_batch(bucket_names& silent); // true: more may be due
  task<result<void>> abort(open_multipart m, millis_clock leased_until);

  store& store_;
  ledger& ledger_;
  const std::function<millis_clock()> clock_;
};

// Aborts the multipart uploads of m's object that the ledger does not know: the store's answer was lost, or a node died
// before it could record the store's id. errc::conflict: another one of this object was begun a moment ago, and its id
// is not recorded yet, so it would be aborted by mistake.
task<result<void>> abort_unnamed(multipart_store& parts, ledger& records, open_multipart m, millis_clock now);

// Aborts m, and then what abort_unnamed aborts.
task<result<void>> abort_with_unnamed(multipart_store& parts, ledger& records, open_multipart m, millis_clock now);

} // namespace postern
