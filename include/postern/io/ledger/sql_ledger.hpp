// A ledger in an SQL database: the contract's calls, each as work for the one writer thread.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/ledger/group_commit.hpp>
#include <postern/io/ledger/ledger_options.hpp>
#include <postern/io/ledger/sql.hpp>

#include <memory>

namespace postern {

// `db` has the newest schema. Of the options, what concerns the rows: endpoints and grace.
std::unique_ptr<ledger> make_sql_ledger(std::unique_ptr<sql::database> db, const ledger_options& options,
                                        group_commit_options commits);

} // namespace postern
