#include "upload_row.hpp"
#include <postern/base/text.hpp>
#include <postern/io/rows/completed_rows.hpp>
#include <postern/io/rows/upload_rows.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace postern {
namespace {

const std::string claim_sql = "UPDATE uploads SET claimed_at = $1, claimed_as = $2, claim_until = NULL "
                              "WHERE id = $3 AND state = 'completed' AND claimed_at IS NULL" +
                              returning_upload;
const std::string removing_sql =
    "UPDATE uploads SET state = 'removing', claim_until = NULL, ask_at = $1 WHERE id = $2 AND state IN " +
    states_before(upload_state::removing) + returning_upload;
const std::string removed_sql =
    "UPDATE uploads SET state = 'removed', removed_at = $1, ask_at = NULL WHERE id = $2 AND state IN " +
    states_before(upload_state::removed) + returning_upload;

failure not_completed(std::string_view what, const upload& u) {
  return {errc::conflict, "only a completed upload can be " + std::string(what) + "; the state of this one is " +
                              std::string(name_of(u.state))};
}

} // namespace

completed_rows::completed_rows(sql::database& db, webhook_rows& outbox, std::chrono::milliseconds grace,
                               std::function<void(const upload&)> on_change)
    : db_(db), outbox_(outbox), quotas_(db), grace_(grace), on_change_(std::move(on_change)),
      unclaimed_sql_(select_upload + "claim_until <= $1" + not_in_buckets("$2") + " ORDER BY claim_until, id LIMIT $3" +
                     db.get_dialect().for_update_skip_locked) {}

result<upload> completed_rows::claim(const std::string& id, const std::string& reference, millis_clock at) {
  if (auto claimed = one_upload(db_.prepared(claim_sql).bind(as_integer(at), reference, id))) {
    report(*claimed);
    return std::move(*claimed);
  }
  auto row = find_upload(db_, id);
  if (!row) return no_such_upload();
  if (row->state != upload_state::completed) return not_completed("claimed", *row);
  if (row->claimed_as != reference)
    return failure{errc::conflict, "the upload was claimed before, with the reference " + quote(row->claimed_as)};
  return std::move(*row);
}

result<upload> completed_rows::start_removing(const std::string& id, millis_clock leased_until) {
  if (auto removing = one_upload(db_.prepared(removing_sql).bind(as_integer(leased_until), id))) {
    report(*removing);
    return std::move(*removing);
  }
  auto row = find_upload(db_, id);
  if (!row) return no_such_upload();
  if (row->state == upload_state::removing || row->state == upload_state::removed) return std::move(*row);
  return not_completed("deleted", *row);
}

std::vector<upload> completed_rows::start_removing_unclaimed(millis_clock now, millis_clock leased_until,
                                                             std::size_t max, const bucket_names& without) {
  std::vector<upload> started;
  const auto buckets = listed_buckets(without);
  for (const auto& u : all_uploads(db_.prepared(unclaimed_sql_).bind(as_integer(now), buckets, as_limit(max)))) {
    auto removing = one_upload(db_.prepared(removing_sql).bind(as_integer(leased_until), u.id));
    if (!removing) continue;
    report(*removing);
    started.push_back(std::move(*removing));
  }
  return started;
}

result<upload> completed_rows::finish_removing(const std::string& id, millis_clock at) {
  auto removed = one_upload(db_.prepared(removed_sql).bind(as_integer(at), id));
  if (!removed) {
    auto row = find_upload(db_, id);
    if (!row) return no_such_upload();
    return std::move(*row);
  }
  quotas_.release(*removed);
  // Until then the form can be posted again, and what it stores must be deleted too; or an object that was moved out of
  // quarantine is not deleted there yet.
  const auto form_ends = removed->expires_at + grace_;
  const auto last_check = removed->form_key.empty() ? form_ends : std::max(form_ends, at + clean_up_pause);
  if (at < last_check)
    db_.prepared(check_at_sql).bind(as_integer(last_check), id).run();
  else
    quotas_.charge(*removed, removed->charged, std::nullopt);
  outbox_.announce(webhook_type::removed, *removed, at);
  report(*removed);
  return std::move(*removed);
}

} // namespace postern
