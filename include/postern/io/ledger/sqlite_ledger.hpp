// The ledger in one SQLite file: WAL, synchronous=FULL, schema versioned by PRAGMA user_version. For one node.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/ledger/group_commit.hpp>
#include <postern/io/ledger/ledger_options.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace postern {

struct sqlite_ledger_options {
  std::string path;                          // a file, made when missing, folders too; ":memory:" for tests
  std::chrono::milliseconds patience{5'000}; // how long a transaction waits for another process that is writing
  group_commit_options commits{};
};

// `options.url` is not looked at. Throws std::runtime_error saying what and the remedy: not writable, not a database, a
// schema newer than this program knows.
std::unique_ptr<ledger> make_sqlite_ledger(const sqlite_ledger_options& file, const ledger_options& options);

} // namespace postern
