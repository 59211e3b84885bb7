// The statements on the ledger's table of quotas, written once for all databases: what the uploads of each profile and
// each user hold. The writer thread uses quota_rows inside a transaction; find_usage only reads. All functions throw
// transaction_error.
#pragma once

#include <postern/core/quota.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/sql/database.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace postern {

quota_usage find_usage(sql::database& db, const std::string& profile, const std::string& user, std::int64_t day);

class quota_rows {
public:
  explicit quota_rows(sql::database& db) : db_(db) {}

  // Adds the reservation of an upload (quota_day, reserved) to its four sums, if each of them has room. Otherwise
  // reserves nothing and returns why.
  std::optional<failure> reserve(const upload& u, const quota& limits, millis_clock at);

  // The upload counts with these bytes from now on, and so says its row; u.charged and u.reserved are set to them. It
  // is in flight until it is charged, or reserves nothing more. No effect on an upload without a quota.
  void charge(upload& u, std::optional<std::uint64_t> charged, std::optional<std::uint64_t> reserved);

  // The upload's object was deleted: what it was charged no longer counts to the totals.
  void release(const upload& u);

  // Forgets the sums of days before this one, unless something is reserved. Their uploads stay in the sums of all days.
  void purge_days(std::int64_t before);

private:
  void add(const upload& u, const quota_sum& sum, std::int64_t used, std::int64_t reserved, std::int64_t in_flight);

  sql::database& db_;
};

} // namespace postern
