// The statements on the ledger's table of uploads, written once for all databases. upload_rows writes; each change adds
// its webhooks to the outbox. The writer thread uses it inside a transaction. The free functions only read; any thread
// may call them with a connection of its own. All functions throw transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/rows/quota_rows.hpp>
#include <postern/io/rows/webhook_rows.hpp>
#include <postern/io/sql/database.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace postern {

std::optional<upload> find_upload(sql::database& db, const std::string& id);
std::vector<upload> find_uploads(sql::database& db, const std::vector<std::string>& ids);
std::vector<upload> list_uploads(sql::database& db, const upload_filter& f);

class upload_rows {
public:
  // `on_change` is called inside the transaction with each row that a method changed.
  // `first_probe`: see ledger_options.
  upload_rows(sql::database& db, webhook_rows& outbox, std::chrono::milliseconds grace,
              std::function<void(const upload&)> on_change = {}, std::chrono::milliseconds first_probe = {});

  void issue(const upload& u);
  std::optional<failure> reserve(const upload& u, const quota& limits);
  void start_receiving(const upload& u, const std::string& attempt);
  std::optional<upload> reserve_key(const upload& u, const std::string& signed_key, const std::string& attempt);
  void record_progress(const std::vector<std::pair<std::string, std::uint64_t>>& received, millis_clock not_before);
  confirmation confirm(const completion& c);
  void break_off(const std::string& id, const std::string& attempt);
  upload fail(const upload& u, const std::string& attempt, const std::string& code, millis_clock at);
  upload check_later(const upload& u, millis_clock at);
  std::vector<upload> lease_due_checks(millis_clock now, millis_clock leased_until, std::size_t max,
                                       const bucket_names& without);
  std::vector<upload> lease_due_probes(millis_clock now, millis_clock leased_until, std::size_t max,
                                       const bucket_names& without);
  std::optional<upload> expire(const std::string& id, millis_clock at);
  void settle(const std::string& id, std::optional<std::uint64_t> stored);
  std::size_t purge(millis_clock created_before, std::size_t max);

private:
  std::int64_t check_after_end(const upload& u) const { return as_integer(u.expires_at + grace_); }
  std::int64_t first_check(const upload& u) const;
  std::vector<upload> lease(const std::string& select, millis_clock now, millis_clock leased_until, std::size_t max,
                            const bucket_names& without);
  upload existing(const std::string& id);
  std::optional<upload> start_checking(const completion& c, millis_clock created_at);
  std::optional<upload> complete(const completion& c, millis_clock created_at);
  confirmation overwrite(const completion& c);
  void charge_completion(upload& u, std::uint64_t size, millis_clock at);
  void charge_overwrite(upload& u, std::uint64_t size);
  void report(const upload& changed) const {
    if (on_change_) on_change_(changed);
  }

  sql::database& db_;
  webhook_rows& outbox_;
  quota_rows quotas_;
  const std::chrono::milliseconds grace_, first_probe_;
  const std::function<void(const upload&)> on_change_;
  const std::string due_sql_, probe_sql_, purge_sql_;
};

} // namespace postern
