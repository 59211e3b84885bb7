// The tables of a ledger in each database, and the other differences between the databases.
#pragma once

#include <postern/io/sql/database.hpp>

namespace postern::ledger_schema {

extern const sql::dialect sqlite, postgres;

} // namespace postern::ledger_schema
