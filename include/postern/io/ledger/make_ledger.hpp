// Makes the ledger that a URL names: SQLite for one node, PostgreSQL for several nodes.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/ledger/ledger_options.hpp>

#include <memory>
#include <string>

namespace postern {

// Opens the database and migrates its schema. The caller owns the ledger. Throws std::runtime_error, which names
// ledger.url, what is wrong with the database, and the remedy.
std::unique_ptr<ledger> make_ledger(const ledger_options& options);

// Whether make_ledger knows this kind of URL: sqlite: and a path, postgresql:// or postgres://.
bool is_ledger_url(const std::string& url);

// The URL without the password, for logs and messages.
std::string ledger_shown(const std::string& url);

} // namespace postern
