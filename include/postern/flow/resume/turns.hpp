// Turns: one request at a time adds bytes to a resumable upload. A request that comes later makes the present one stop
// and keep what has arrived, because its client has usually lost the connection and begun anew; on another node, too.
// The ledger says whose turn it is. Owned by the node, shared by all threads; a turn belongs to one request and stays
// on its thread.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/multipart/open_multipart.hpp>
#include <postern/io/byte_source.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace postern {

class turn;

class turns {
public:
  static constexpr std::chrono::seconds lease{10}; // of a turn; a node that has died holds it so long
  static constexpr std::chrono::seconds look{2};   // how often its holder looks whether another node wants it

  // `records` must outlive this.
  turns(ledger& records, std::function<millis_clock()> clock) : ledger_(records), clock_(std::move(clock)) {}

  // Waits until the present holder has let go, for somewhat longer than `lease`. The upload must have a row
  // (ledger::start_parts). errc::not_found: it has none. errc::unavailable: the holder does not let go.
  // errc::ledger_failed.
  task<result<std::unique_ptr<turn>>> take(std::string id);

private:
  friend class turn;
  // How to reach the holder of a turn on this node.
  struct local_holder {
    explicit local_holder(io_executor on) : executor(on) {}
    const io_executor executor;
    turn* is = nullptr; // on the executor only; null: it has ended
  };
  using holder_ptr = std::shared_ptr<local_holder>;
  void enter(const std::string& id, holder_ptr h);
  void leave(const std::string& id, const holder_ptr& h);
  void tell_local_holder(const std::string& id);

  ledger& ledger_;
  const std::function<millis_clock()> clock_;
  std::mutex mutex_; // guards holders_
  std::map<std::string, holder_ptr> holders_;
};

class turn {
public:
  turn(turns& of, open_multipart row, io_executor executor);
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;
  ~turn(); // without release, the turn ends with its lease

  // The upload's row as it was when the turn began, with what is kept since.
  const open_multipart& row() const { return row_; }
  void set_row(open_multipart m) { row_ = std::move(m); }

  // Extends the turn, and records what has been noted as kept, until the request is to let go. Then the reading of
  // `body`, which must outlive this call, ends with errc::incomplete_body.
  task<> watch(byte_source& body, std::chrono::milliseconds grace);
  void stop_watching();

  void note_kept(kept_bytes kept) { row_.kept = kept; }

  // Whether the upload may still be written to: a process that was frozen for longer than its turn must not.
  bool may_write() const { return !is_lost_ && turns_.clock_() < row_.held_until; }

  // Another request waits for its turn.
  bool must_let_go() const { return must_let_go_; }
  // Another request has the turn: nothing of the upload may be changed.
  bool is_lost() const { return is_lost_; }

  // Records what is kept, and ends the turn. `due_at`: when the upload is abandoned. Nothing is recorded when the turn
  // is lost: errc::conflict.
  task<result<void>> release(millis_clock due_at);

private:
  friend class turns;
  void let_go();
  task<bool> extend(std::chrono::milliseconds grace);

  turns& turns_;
  open_multipart row_;
  turns::holder_ptr here_;
  timer sleep_;
  byte_source* body_ = nullptr;
  bool must_let_go_ = false, is_lost_ = false, is_over_ = false;
};

} // namespace postern
