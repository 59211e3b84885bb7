// The ledger in one SQLite file: WAL, synchronous=FULL, schema versioned by PRAGMA user_version. For one node.
#pragma once

#include <postern/io/ledger.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace postern {

struct sqlite_ledger_options {
  std::string path;            // a file, made when missing, folders too; ":memory:" for tests
  std::size_t queue = 200'000; // calls waiting at most; past it, issue and receiving are dropped (counted), the others
                               // answer errc::unavailable
  std::chrono::milliseconds patience{5'000}; // how long a transaction waits for another process that is writing
  std::size_t batch = 2'000;                 // calls in one transaction at most
  std::chrono::milliseconds linger{20};      // how long facts that nobody waits for are collected into one transaction
};

// Throws std::runtime_error saying what and the remedy: not writable, not a database, a schema newer than this program
// knows.
std::unique_ptr<ledger> make_sqlite_ledger(sqlite_ledger_options options);

} // namespace postern
