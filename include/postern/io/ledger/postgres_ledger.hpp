// The ledger in a PostgreSQL database, which several nodes share. Needs PostgreSQL 12 or later and a role that may
// create a schema in the database, the first time.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/ledger/group_commit.hpp>
#include <postern/io/ledger/ledger_options.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace postern {

struct postgres_ledger_options {
  std::string url;                           // postgresql://…, as libpq takes it
  std::chrono::milliseconds patience{8'000}; // how long the server may say nothing, or take for one statement
  group_commit_options commits{.batch = 500};
};

// `options.url` is not looked at. Throws std::runtime_error saying what and the remedy, and never a password: it cannot
// be reached, does not let us in, has a schema newer than this program knows.
std::unique_ptr<ledger> make_postgres_ledger(const postgres_ledger_options& server, const ledger_options& options);

} // namespace postern
