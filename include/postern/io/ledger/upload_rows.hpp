// What a ledger's transactions do to its table of uploads, written once for every database; what it announces goes to
// the outbox. Used by the writer thread alone, inside a transaction. Throws transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/ledger/sql.hpp>
#include <postern/io/ledger/webhook_rows.hpp>

#include <optional>
#include <string>
#include <vector>

namespace postern {

class upload_rows {
public:
  upload_rows(sql::database& db, webhook_rows& outbox, std::chrono::milliseconds grace);

  void issue(const upload& u);
  void start_receiving(const upload& u);
  void record_progress(const std::vector<std::pair<std::string, std::uint64_t>>& received, millis_clock not_before);
  upload confirm(const completion& c);
  upload fail(const upload& u, const std::string& code, millis_clock at);
  upload check_later(const upload& u, millis_clock at);
  std::vector<upload> due_checks(millis_clock now, millis_clock leased_until, std::size_t max);
  std::optional<upload> expire(const std::string& id, millis_clock at);
  std::optional<upload> find(const std::string& id);
  std::vector<upload> list(const upload_filter& f);
  std::size_t purge(millis_clock created_before, std::size_t max);

private:
  std::int64_t first_asked(const upload& u) const { return as_integer(u.expires_at + grace_); }
  upload known(const std::string& id);

  sql::database& db_;
  webhook_rows& outbox_;
  const std::chrono::milliseconds grace_;
  const std::string due_sql_, purge_sql_;
};

} // namespace postern
