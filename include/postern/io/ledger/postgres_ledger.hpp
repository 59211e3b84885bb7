// The ledger in a PostgreSQL database, which several nodes share. Needs PostgreSQL 12 or later, and, at the first
// start, a role that may create a schema in the database. A node uses at most 1 + `use.reads.connections` connections.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/ledger/ledger_options.hpp>
#include <postern/io/ledger/sql_ledger.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace postern {

struct postgres_ledger_options {
  std::string url;                          // postgresql://…, as libpq takes it
  std::chrono::milliseconds timeout{8'000}; // of a statement, and of a server that does not reply
  sql_ledger_options use{.commits = {.max_batch = 500}, .reads = {.connections = 4}};
};

// `options.url` is ignored. Throws std::runtime_error, which names ledger.url, what is wrong and the remedy, and never
// a password: the server cannot be reached, refuses the role, or has a schema newer than this program knows.
std::unique_ptr<ledger> make_postgres_ledger(const postgres_ledger_options& server, const ledger_options& options);

} // namespace postern
