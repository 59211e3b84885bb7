// The statements on the ledger's table of multipart uploads that are open in a store. Used by the writer thread inside
// a transaction; count only reads. All functions throw transaction_error.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/core/multipart/open_multipart.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/sql/database.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace postern {

std::optional<open_multipart> find_multipart(sql::database& db, const std::string& id);
multipart_totals count_multiparts(sql::database& db);

class multipart_rows {
public:
  // `on_change` is called inside the transaction with each upload whose row a method changed. `grace`: see
  // ledger_options.
  multipart_rows(sql::database& db, std::chrono::milliseconds grace, std::function<void(const upload&)> on_change = {});

  // See ledger.
  result<started_parts> start_parts(const open_multipart& m);
  void begin(const open_multipart& m);
  std::optional<open_multipart> name(const std::string& id, const std::string& store_id);
  std::optional<open_multipart> take_turn(const std::string& id, const std::string& holder, millis_clock now,
                                          millis_clock until);
  std::optional<open_multipart> keep_turn(const std::string& id, const std::string& holder, kept_bytes kept,
                                          millis_clock until, millis_clock due_at);
  void keep(const std::vector<std::string>& ids, millis_clock due_at);
  void end(const std::string& id, const std::optional<std::string>& store_id);
  std::vector<open_multipart> lease_due(millis_clock now, millis_clock leased_until, std::size_t max,
                                        const bucket_names& without);
  std::vector<open_multipart> list_of(const object_name& name);

private:
  sql::database& db_;
  const std::chrono::milliseconds grace_;
  const std::function<void(const upload&)> on_change_;
  const std::string due_sql_;
};

} // namespace postern
