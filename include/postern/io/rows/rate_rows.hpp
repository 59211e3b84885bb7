// The rows of the table rates: how often each node has admitted what a rate limits. The statements are PostgreSQL's. A
// node writes only its own rows, and rows of nodes that ended, so that no node waits for another one. Used by the
// writer thread of a ledger.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/sql/database.hpp>

#include <string>
#include <vector>

namespace postern {

class rate_rows {
public:
  // `db` must outlive this.
  explicit rate_rows(sql::database& db) : db_(db) {}

  // See ledger::exchange_rates.
  std::vector<rate_count> exchange(const std::string& node, const std::vector<rate_count>& taken, millis_clock now);

private:
  void expire(const std::string& node, millis_clock now);

  sql::database& db_;
  millis_clock expired_at_{};
};

} // namespace postern
