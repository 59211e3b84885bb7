// The statements on the ledger's outbox (webhooks and stopped endpoints), written once for all databases. webhook_rows
// writes; the writer thread uses it inside a transaction. The free function only reads; any thread may call it with a
// connection of its own. All functions throw transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/sql/database.hpp>

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

std::vector<webhook> list_webhooks(sql::database& db, const webhook_filter& f);
std::optional<millis_clock> oldest_webhook(sql::database& db);

class webhook_rows {
public:
  webhook_rows(sql::database& db, std::vector<webhook_endpoint> endpoints);

  // Adds one message for each endpoint that subscribes to this type. A stopped endpoint's message is a dead letter. An
  // overwrite replaces the message about an overwrite of the same upload less than a second ago.
  void announce(webhook_type type, const upload& u, millis_clock at);

  std::vector<webhook> due(millis_clock now, millis_clock leased_until, const std::vector<webhook_demand>& demands);
  void record_delivery(const std::string& id);
  void record_failed_delivery(const std::string& id, const std::string& why, std::optional<millis_clock> retry_at);
  std::size_t expire(const std::string& url, millis_clock due_before, const std::string& why);
  void stop(const std::string& url, const std::string& why);
  std::size_t retry(const std::vector<std::string>& ids, millis_clock now);
  std::size_t purge(const std::vector<std::string>& ids);
  void delete_of(const std::string& upload_id);

private:
  std::string next_id(millis_clock at);
  bool merge(webhook_type type, const upload& u, const std::string& url, const std::string& payload, millis_clock at);
  std::vector<webhook> due_to(const webhook_demand& from, millis_clock now);
  void bury_unowned(millis_clock now);

  sql::database& db_;
  const std::vector<webhook_endpoint> endpoints_;
  const std::string due_sql_, unowned_sql_;
  millis_clock unowned_checked_at_{};
  millis_clock last_time_{};        // of the last id that was made
  unsigned count_in_last_time_ = 0; // ids with that time
};

} // namespace postern
