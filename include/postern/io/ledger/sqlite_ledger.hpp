// The ledger in one SQLite file, for one node: WAL mode, synchronous=FULL, schema version in PRAGMA user_version. Other
// processes, such as `postern uploads`, may read the file meanwhile. While the file or its log is deleted, moved or
// replaced, each call fails with errc::ledger_failed; when the same file is back, the ledger goes on.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/ledger/ledger_options.hpp>
#include <postern/io/ledger/sql_ledger.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace postern {

struct sqlite_ledger_options {
  std::string path; // a file; it and its folders are created if missing. ":memory:" for tests: reads use the writer
  std::chrono::milliseconds timeout{5'000}; // how long a transaction waits while another process holds the lock
  sql_ledger_options use{};
};

// `options.url` is ignored. Throws std::runtime_error, which names ledger.url, the file, what is wrong and the remedy:
// the file cannot be written, is no database, or has a schema newer than this program knows.
std::unique_ptr<ledger> make_sqlite_ledger(const sqlite_ledger_options& file, const ledger_options& options);

} // namespace postern
