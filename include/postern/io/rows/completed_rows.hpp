// What becomes of a completed upload: the statements on the table of uploads for claims and removals, written once for
// all databases. The writer thread uses it inside a transaction. All functions throw transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/rows/quota_rows.hpp>
#include <postern/io/rows/webhook_rows.hpp>
#include <postern/io/sql/database.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace postern {

class completed_rows {
public:
  // The arguments are those of upload_rows.
  completed_rows(sql::database& db, webhook_rows& outbox, std::chrono::milliseconds grace,
                 std::function<void(const upload&)> on_change = {});

  result<upload> claim(const std::string& id, const std::string& reference, millis_clock at);
  result<upload> start_removing(const std::string& id, millis_clock leased_until);
  std::vector<upload> start_removing_unclaimed(millis_clock now, millis_clock leased_until, std::size_t max,
                                               const bucket_names& without);
  result<upload> finish_removing(const std::string& id, millis_clock at);

private:
  void report(const upload& changed) const {
    if (on_change_) on_change_(changed);
  }

  sql::database& db_;
  webhook_rows& outbox_;
  quota_rows quotas_;
  const std::chrono::milliseconds grace_;
  const std::function<void(const upload&)> on_change_;
  const std::string unclaimed_sql_;
};

} // namespace postern
