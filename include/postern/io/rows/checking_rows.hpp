// Verdicts about stored objects: the statements on the table of uploads in the state checking, written once for all
// databases. The writer thread uses it inside a transaction. All functions throw transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/object.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/rows/quota_rows.hpp>
#include <postern/io/rows/webhook_rows.hpp>
#include <postern/io/sql/database.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace postern {

class checking_rows {
public:
  // The arguments are those of upload_rows.
  checking_rows(sql::database& db, webhook_rows& outbox, std::chrono::milliseconds grace,
                std::function<void(const upload&)> on_change = {});

  std::vector<upload> lease_due(millis_clock now, millis_clock leased_until, std::size_t max);
  void postpone(const std::string& id, millis_clock at, bool has_failed);
  result<upload> accept(const std::string& id, const std::string& etag, millis_clock leased_until);
  result<upload> check_again(const std::string& id, const stored_object& found, millis_clock at);
  result<confirmation> finish_accepting(const std::string& id, const std::string& etag, millis_clock at,
                                        std::optional<millis_clock> claim_until);
  result<confirmation> reject(const std::string& id, const std::string& etag, const std::string& reason,
                              millis_clock at, bool is_gone);

private:
  std::int64_t last_check(const upload& u, millis_clock at) const;
  result<upload> find(const std::string& id);
  void report(const upload& changed) const {
    if (on_change_) on_change_(changed);
  }

  sql::database& db_;
  webhook_rows& outbox_;
  quota_rows quotas_;
  const std::chrono::milliseconds grace_;
  const std::function<void(const upload&)> on_change_;
  const std::string due_sql_;
};

} // namespace postern
