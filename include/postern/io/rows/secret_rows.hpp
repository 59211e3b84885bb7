// The statements on the ledger's table of signing secrets, which holds their fingerprints only. Written once for all
// databases. Any thread may read with a connection of its own; the writer thread writes. Throws transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/io/sql/database.hpp>

#include <string>
#include <vector>

namespace postern {

void note_secret(sql::database& db, const std::string& fingerprint, millis_clock now);
std::vector<std::string> list_secrets(sql::database& db, millis_clock since);

} // namespace postern
