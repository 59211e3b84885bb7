// What a ledger's transactions do to its outbox, written once for every database. Used by the writer thread alone,
// inside a transaction. Throws transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/ledger/sql.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace postern {

inline std::int64_t as_integer(millis_clock t) { return t.time_since_epoch().count(); }
inline std::int64_t as_limit(std::size_t n) {
  return static_cast<std::int64_t>(std::min<std::size_t>(n, std::numeric_limits<std::int64_t>::max()));
}
inline millis_clock as_time(std::int64_t n) { return millis_clock{std::chrono::milliseconds{n}}; }

class webhook_rows {
public:
  webhook_rows(sql::database& db, std::vector<webhook_endpoint> endpoints);

  // One message to each endpoint that wants that type and is not stopped.
  void announce(webhook_type type, const upload& u, millis_clock at);

  std::vector<webhook> due(millis_clock now, millis_clock leased_until, std::size_t max);
  void record_delivery(const std::string& id);
  void record_failed_delivery(const std::string& id, const std::string& why, std::optional<millis_clock> again);
  void stop(const std::string& url, const std::string& why);
  std::vector<webhook> list(const webhook_filter& f);
  std::size_t retry(const std::vector<std::string>& ids, millis_clock now);
  std::size_t purge(const std::vector<std::string>& ids);
  void delete_of(const std::string& upload_id);

private:
  std::string next_id(millis_clock at);

  sql::database& db_;
  const std::vector<webhook_endpoint> endpoints_;
  const std::string due_sql_, long_due_sql_;
  millis_clock last_{};  // of the last id
  unsigned in_last_ = 0; // ids with that time
};

} // namespace postern
