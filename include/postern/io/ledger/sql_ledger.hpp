// A ledger in an SQL database. Writes go through one writer thread and connection (group_commit); reads take
// connections of their own (readers).
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/ledger/group_commit.hpp>
#include <postern/io/ledger/ledger_options.hpp>
#include <postern/io/ledger/readers.hpp>
#include <postern/io/sql/database.hpp>

#include <memory>

namespace postern {

// How the ledger uses its database.
struct sql_ledger_options {
  group_commit_options commits{};
  readers_options reads{};
};

// `writing` has the newest schema. `connect_reader` makes read_only connections to the same database. If it is empty,
// the database allows only one connection, and reads go through the writer thread. Of `options`, all but the URL is
// used. `outage`: why the database is unavailable now; then the schema is migrated when the database is available.
std::unique_ptr<ledger> make_sql_ledger(std::unique_ptr<sql::database> writing,
                                        readers::connect_function connect_reader, const ledger_options& options,
                                        const sql_ledger_options& use, std::optional<failure> outage = std::nullopt);

} // namespace postern
