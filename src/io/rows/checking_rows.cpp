#include "upload_row.hpp"
#include <postern/io/rows/checking_rows.hpp>
#include <postern/io/rows/upload_rows.hpp>

#include <algorithm>
#include <utility>

namespace postern {
namespace {

const std::string postpone_sql =
    "UPDATE uploads SET ask_at = $1, asked = asked + $2 WHERE id = $3 AND state = 'checking'";
const std::string accept_sql =
    "UPDATE uploads SET is_accepted = 1, ask_at = $1 WHERE id = $2 AND state = 'checking' AND $3 IN ('', etag)" +
    returning_upload;
const std::string check_again_sql = "UPDATE uploads SET size = $1, etag = $2, crc32c = $3, stored_at = $4, "
                                    "ask_at = $4, is_accepted = 0, asked = 0 "
                                    "WHERE id = $5 AND state = 'checking' AND etag <> $2" +
                                    returning_upload;
const std::string completed_sql =
    "UPDATE uploads SET state = 'completed', key = CASE WHEN final_key = '' THEN key ELSE final_key END, "
    "form_key = CASE WHEN final_key = '' THEN '' ELSE key END, etag = $1, completed_at = $2, claim_until = $3 "
    "WHERE id = $4 AND state = 'checking' AND is_accepted = 1" +
    returning_upload;
const std::string reject_sql = "UPDATE uploads SET state = 'rejected', reason = $1 "
                               "WHERE id = $2 AND state = 'checking' AND is_accepted <= $3 AND $4 IN ('', etag)" +
                               returning_upload;

failure no_verdict_possible(const upload& u, const std::string& etag) {
  if (u.state == upload_state::checking && !etag.empty() && etag != u.etag)
    return {errc::conflict, "the verdict is about another object: the one that is checked has the ETag " + u.etag};
  if (u.state == upload_state::checking) return {errc::conflict, "the upload was accepted before"};
  return {errc::conflict,
          "only an upload that is being checked can be accepted or rejected; the state of this one is " +
              std::string(name_of(u.state))};
}

} // namespace

checking_rows::checking_rows(sql::database& db, webhook_rows& outbox, std::chrono::milliseconds grace,
                             std::function<void(const upload&)> on_change)
    : db_(db), outbox_(outbox), quotas_(db), grace_(grace), on_change_(std::move(on_change)),
      due_sql_(select_upload + "state = 'checking' AND ask_at <= $1 ORDER BY ask_at, id LIMIT $2" +
               db.get_dialect().for_update_skip_locked) {}

std::vector<upload> checking_rows::lease_due(millis_clock now, millis_clock leased_until, std::size_t max) {
  auto found = all_uploads(db_.prepared(due_sql_).bind(as_integer(now), as_limit(max)));
  auto& lease = db_.prepared(check_at_sql);
  for (const auto& u : found) lease.bind(as_integer(leased_until), u.id).run();
  return found;
}

void checking_rows::postpone(const std::string& id, millis_clock at, bool has_failed) {
  db_.prepared(postpone_sql).bind(as_integer(at), static_cast<std::int64_t>(has_failed ? 1 : 0), id).run();
}

result<upload> checking_rows::accept(const std::string& id, const std::string& etag, millis_clock leased_until) {
  if (auto accepted = one_upload(db_.prepared(accept_sql).bind(as_integer(leased_until), id, etag)))
    return std::move(*accepted);
  auto row = find(id);
  if (!row || row->state == upload_state::completed) return row;
  return no_verdict_possible(*row, etag);
}

result<upload> checking_rows::check_again(const std::string& id, const stored_object& found, millis_clock at) {
  const auto crc = found.crc32c ? std::optional<std::int64_t>(*found.crc32c) : std::nullopt;
  auto checking = one_upload(
      db_.prepared(check_again_sql).bind(static_cast<std::int64_t>(found.size), found.etag, crc, as_integer(at), id));
  if (!checking) return find(id);
  outbox_.announce(webhook_type::checking, *checking, at);
  report(*checking);
  return std::move(*checking);
}

// When the store is asked for the last time: the form can be posted until it expires.
std::int64_t checking_rows::last_check(const upload& u, millis_clock at) const {
  return as_integer(std::max(u.expires_at + grace_, at + clean_up_pause));
}

result<confirmation> checking_rows::finish_accepting(const std::string& id, const std::string& etag, millis_clock at,
                                                     std::optional<millis_clock> claim_until) {
  const auto claim = claim_until ? std::optional(as_integer(*claim_until)) : std::nullopt;
  auto completed = one_upload(db_.prepared(completed_sql).bind(etag, as_integer(at), claim, id));
  if (!completed) {
    auto row = find(id);
    if (!row) return row.error();
    return confirmation{std::move(*row)};
  }
  db_.prepared(check_at_sql).bind(last_check(*completed, at), id).run();
  quotas_.charge(*completed, completed->size, std::nullopt); // what the form stores now goes into quarantine only
  outbox_.announce(webhook_type::completed, *completed, at);
  report(*completed);
  return confirmation{std::move(*completed), true};
}

result<confirmation> checking_rows::reject(const std::string& id, const std::string& etag, const std::string& reason,
                                           millis_clock at, bool is_gone) {
  auto rejected =
      one_upload(db_.prepared(reject_sql).bind(reason, id, static_cast<std::int64_t>(is_gone ? 1 : 0), etag));
  if (!rejected) {
    auto row = find(id);
    if (!row) return row.error();
    if (row->state == upload_state::rejected) return confirmation{std::move(*row)};
    return no_verdict_possible(*row, etag);
  }
  db_.prepared(check_at_sql).bind(last_check(*rejected, at), id).run();
  quotas_.charge(*rejected, std::nullopt, std::nullopt);
  outbox_.announce(webhook_type::rejected, *rejected, at);
  report(*rejected);
  return confirmation{std::move(*rejected), true};
}

result<upload> checking_rows::find(const std::string& id) {
  auto row = find_upload(db_, id);
  if (!row) return no_such_upload();
  return std::move(*row);
}

} // namespace postern
