// The statements on the ledger's table of handled messages, which holds the ids of ledger::message_memory. Written once
// for all databases. Any thread may read with a connection of its own; the writer thread writes. Throws
// transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/io/sql/database.hpp>

#include <string>

namespace postern {

bool has_message(sql::database& db, const std::string& id, millis_clock now);
void note_message(sql::database& db, const std::string& id, millis_clock now);

} // namespace postern
