// The tables of a ledger, and all else in which the databases differ.
#pragma once

#include <postern/io/ledger/sql.hpp>

namespace postern::ledger_schema {

extern const sql::dialect sqlite, postgres;

} // namespace postern::ledger_schema
