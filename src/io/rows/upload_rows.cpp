#include "upload_row.hpp"
#include <postern/base/json.hpp>
#include <postern/io/rows/upload_rows.hpp>

#include <algorithm>

namespace postern {
namespace {

// --- the statements -------------------------------------------------------------------------------

// An INSERT with the parameters $1 to $11, further columns and values, and the clause for an existing row.
std::string insert(std::string_view more, std::string_view values, std::string_view on_conflict) {
  return std::string("INSERT INTO uploads (id, profile, \"user\", bucket, key, metadata, min_size, max_size, "
                     "created_at, expires_at, ask_at, state")
      .append(more)
      .append(") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, ")
      .append(values)
      .append(") ON CONFLICT (id) DO ")
      .append(on_conflict);
}

const std::string issue_sql = insert(", final_key", "'issued', $12", "NOTHING");
const std::string reserve_sql = insert(", final_key, quota_day, reserved", "'issued', $12, $13, $14", "NOTHING");
const std::string receiving_sql =
    insert(", attempt", "'receiving', $12",
           "UPDATE SET state = 'receiving', attempt = excluded.attempt, failed_because = '', received = NULL, "
           "ask_at = COALESCE(uploads.ask_at, excluded.ask_at) WHERE uploads.state IN " +
               states_before(upload_state::receiving) + returning_upload);
const std::string reserve_key_sql =
    insert(", attempt", "'receiving', $12",
           "UPDATE SET state = 'receiving', key = excluded.key, attempt = excluded.attempt, failed_because = '', "
           "received = NULL, ask_at = COALESCE(uploads.ask_at, excluded.ask_at) "
           "WHERE uploads.key IN (excluded.key, $13) AND uploads.state IN " +
               states_before(upload_state::receiving) + returning_upload);
// Returns one column more than the other statements: how often the upload has failed.
const std::string fail_sql =
    insert(", attempt, failed_because, failures", "'failed', $12, $13, 1",
           "UPDATE SET state = 'failed', failed_because = excluded.failed_because, failures = uploads.failures + 1 "
           "WHERE (excluded.attempt = '' OR uploads.attempt IN ('', excluded.attempt)) "
           "AND uploads.state IN ('issued', 'receiving')" +
               returning_upload + ", failures");
const std::string confirm_sql =
    insert(", size, etag, crc32c, completed_at, completed_by, way, claim_until",
           "'completed', $12, $13, $14, $15, $16, $17, $18",
           "UPDATE SET state = 'completed', failed_because = '', key = excluded.key, size = excluded.size, "
           "etag = excluded.etag, crc32c = excluded.crc32c, completed_at = excluded.completed_at, "
           "completed_by = excluded.completed_by, way = excluded.way, claim_until = excluded.claim_until, ask_at = "
           "NULL WHERE uploads.state IN " +
               states_before_arrival + returning_new_completion);
// Its next check is that of the verdict.
const std::string start_checking_sql = insert(
    ", size, etag, crc32c, stored_at, completed_by, way, final_key", "'checking', $12, $13, $14, $15, $16, $17, $18",
    "UPDATE SET state = 'checking', profile = CASE uploads.profile WHEN '' THEN excluded.profile ELSE "
    "uploads.profile END, failed_because = '', key = excluded.key, size = excluded.size, "
    "etag = excluded.etag, crc32c = excluded.crc32c, stored_at = excluded.stored_at, "
    "completed_by = excluded.completed_by, way = excluded.way, final_key = excluded.final_key, ask_at = "
    "excluded.ask_at "
    "WHERE uploads.state IN " +
        states_before_arrival + returning_upload);
const std::string check_later_sql =
    insert("", "'issued'",
           "UPDATE SET ask_at = excluded.ask_at WHERE uploads.state IN " + states_before_arrival + returning_upload);

const std::string abandon_parts_sql = "UPDATE multiparts SET due_at = created_at WHERE id = $1";
const std::string break_off_sql = "UPDATE uploads SET state = 'issued', received = NULL WHERE id = $1 "
                                  "AND attempt = $2 AND state = 'receiving'" +
                                  returning_upload;
const std::string progress_sql = "UPDATE uploads SET received = $1, ask_at = CASE WHEN ask_at < $2 THEN $2 ELSE ask_at "
                                 "END WHERE id = $3 AND state = 'receiving'";
const std::string overwrite_sql = "UPDATE uploads SET overwritten_at = $1, overwritten_etag = $2 "
                                  "WHERE id = $3 AND state = 'completed' AND etag <> $2 AND overwritten_etag <> $2" +
                                  returning_upload;
const std::string expire_sql =
    "UPDATE uploads SET state = 'expired', ask_at = NULL WHERE id = $1 AND state IN ('issued', 'receiving')" +
    returning_upload;
const std::string end_checks_sql = "UPDATE uploads SET ask_at = NULL WHERE id = $1" + returning_upload;
const std::string find_sql = select_upload + "id = $1";
const std::string delete_sql = "DELETE FROM uploads WHERE id = $1";

// Its form can still be posted: the probe asks the store about it, and later the sweep. $1 is now.
const std::string is_probed = " (state IN ('issued', 'receiving', 'failed') AND expires_at > $1)";

std::string select_due(const std::string& condition) {
  return select_upload + "ask_at <= $1 AND state <> 'checking'" + condition + not_in_buckets("$2") +
         " ORDER BY ask_at, id LIMIT $3";
}

// Binds the eleven parameters of `insert`, then `more`. All values must live until the first step.
template <class... More>
sql::statement& bind_row(sql::statement& s, const upload& u, const std::string& metadata, millis_clock created_at,
                         std::optional<std::int64_t> next_check, const More&... more) {
  return s.bind(u.id, u.profile, u.user, u.bucket, u.key, metadata, static_cast<std::int64_t>(u.min_size),
                static_cast<std::int64_t>(u.max_size), as_integer(created_at), as_integer(u.expires_at), next_check,
                more...);
}

std::string_view way_text(const completion& c) { return c.way ? name_of(*c.way) : std::string_view(); }

} // namespace

// --- reads ------------------------------------------------------------------------------------------

std::optional<upload> find_upload(sql::database& db, const std::string& id) {
  return one_upload(db.prepared(find_sql).bind(id));
}

std::vector<upload> find_uploads(sql::database& db, const std::vector<std::string>& ids) {
  json_writer list;
  list.begin_array();
  for (const auto& id : ids) list.string(id);
  list.end_array();
  const auto json = list.take();
  return all_uploads(db.prepared(select_upload + db.get_dialect().id_in_json).bind(json));
}

std::vector<upload> list_uploads(sql::database& db, const upload_filter& f) {
  if (f.unclaimed)
    return all_uploads(db.prepared(select_upload + "claim_until IS NOT NULL ORDER BY claim_until, id LIMIT $1")
                           .bind(as_limit(f.limit)));
  std::string sql = select_upload + "id > $1";
  // The sub-select finds the first id by the index on created_at; without it the primary key would be scanned from its
  // first entry. PostgreSQL would do so for a plain MIN(id), too; || '' prevents it.
  if (f.since) sql += " AND id >= (SELECT MIN(id || '') FROM uploads WHERE created_at >= $2) AND created_at >= $2";
  if (f.state) sql.append(" AND state = '").append(name_of(*f.state)).append("'");
  sql.append(f.newest_first ? " ORDER BY id DESC LIMIT " : " ORDER BY id LIMIT ").append(f.since ? "$3" : "$2");
  auto& s = db.prepared(sql);
  return all_uploads(f.since ? s.bind(f.after_id, as_integer(*f.since), as_limit(f.limit))
                             : s.bind(f.after_id, as_limit(f.limit)));
}

upload_rows::upload_rows(sql::database& db, webhook_rows& outbox, std::chrono::milliseconds grace,
                         std::function<void(const upload&)> on_change, std::chrono::milliseconds first_probe)
    : db_(db), outbox_(outbox), quotas_(db), grace_(grace), first_probe_(first_probe), on_change_(std::move(on_change)),
      due_sql_(select_due(first_probe_.count() ? " AND NOT" + is_probed : "") +
               db.get_dialect().for_update_skip_locked),
      probe_sql_(select_due(" AND" + is_probed) + db.get_dialect().for_update_skip_locked),
      purge_sql_(std::string("SELECT id FROM uploads WHERE created_at < $1 AND state NOT IN ('issued', 'receiving', "
                             "'checking', 'removing') "
                             "AND reserved IS NULL AND claim_until IS NULL "
                             "AND NOT EXISTS (SELECT 1 FROM webhooks WHERE webhooks.upload_id = uploads.id "
                             "AND webhooks.due_at IS NOT NULL) ORDER BY created_at, id LIMIT $2") +
                 db.get_dialect().for_update_skip_locked) {}

// --- changes of an upload ----------------------------------------------------------------------------

void upload_rows::issue(const upload& u) {
  const auto metadata = metadata_text(u);
  bind_row(db_.prepared(issue_sql), u, metadata, u.created_at, first_check(u), u.final_key).run();
}

std::optional<failure> upload_rows::reserve(const upload& u, const quota& limits) {
  if (find_upload(db_, u.id)) return std::nullopt; // a commit succeeded, and its reply was lost
  auto reserving = u;
  reserving.quota_day = day_of(u.created_at);
  reserving.reserved = u.max_size;
  if (auto why = quotas_.reserve(reserving, limits, u.created_at)) return why;
  const auto metadata = metadata_text(u);
  bind_row(db_.prepared(reserve_sql), u, metadata, u.created_at, first_check(u), u.final_key, *reserving.quota_day,
           static_cast<std::int64_t>(u.max_size))
      .run();
  return std::nullopt;
}

void upload_rows::settle(const std::string& id, std::optional<std::uint64_t> stored) {
  auto row = one_upload(db_.prepared(end_checks_sql).bind(id));
  if (row) quotas_.charge(*row, stored ? stored : row->charged, std::nullopt);
}

void upload_rows::start_receiving(const upload& u, const std::string& attempt) {
  const auto metadata = metadata_text(u);
  auto& s = bind_row(db_.prepared(receiving_sql), u, metadata, u.created_at, check_after_end(u), attempt);
  const auto receiving = one_upload(s);
  if (!receiving) return;
  // The client has given its parts up.
  if (receiving->way && comes_in_parts(*receiving->way)) db_.prepared(abandon_parts_sql).bind(u.id).run();
  report(*receiving);
}

std::optional<upload> upload_rows::reserve_key(const upload& u, const std::string& signed_key,
                                               const std::string& attempt) {
  const auto metadata = metadata_text(u);
  auto& s = bind_row(db_.prepared(reserve_key_sql), u, metadata, u.created_at, check_after_end(u), attempt, signed_key);
  if (auto reserved = one_upload(s)) {
    report(*reserved);
    return reserved;
  }
  auto row = existing(u.id);
  const bool is_stored = row.state == upload_state::completed || row.state == upload_state::checking;
  if (row.key != u.key || !is_stored) return std::nullopt;
  return row; // under this key: the form is posted once more
}

void upload_rows::record_progress(const std::vector<std::pair<std::string, std::uint64_t>>& received,
                                  millis_clock not_before) {
  auto& s = db_.prepared(progress_sql);
  for (const auto& [id, bytes] : received) s.bind(static_cast<std::int64_t>(bytes), as_integer(not_before), id).run();
}

namespace {

// What the form of an upload could store beyond an object of that many bytes.
std::uint64_t rest_of(const upload& u, std::uint64_t size) { return u.max_size - std::min(size, u.max_size); }

} // namespace

// While the form can be posted again, with another size, the quota holds what it could still take.
void upload_rows::charge_completion(upload& u, std::uint64_t size, millis_clock at) {
  const bool is_settled = u.min_size == u.max_size || at >= u.expires_at + grace_ || !u.reserved;
  quotas_.charge(u, size, is_settled ? std::nullopt : std::optional(rest_of(u, size)));
  if (u.reserved) db_.prepared(check_at_sql).bind(check_after_end(u), u.id).run();
}

void upload_rows::charge_overwrite(upload& u, std::uint64_t size) {
  quotas_.charge(u, size, u.reserved ? std::optional(rest_of(u, size)) : std::nullopt);
}

confirmation upload_rows::confirm(const completion& c) {
  // If the ledger has no row and the caller knows no creation time, the row's creation time is now.
  const auto created_at = c.of.created_at == millis_clock{} ? c.at : c.of.created_at;
  auto stored = c.needs_verdict ? start_checking(c, created_at) : complete(c, created_at);
  if (!stored) return overwrite(c);
  outbox_.announce(c.needs_verdict ? webhook_type::checking : webhook_type::completed, *stored, c.at);
  report(*stored);
  return {std::move(*stored), true};
}

// Nothing: the row is in a state that does not allow it.
std::optional<upload> upload_rows::start_checking(const completion& c, millis_clock created_at) {
  const auto metadata = metadata_text(c.of);
  const auto crc = c.crc32c ? std::optional<std::int64_t>(*c.crc32c) : std::nullopt;
  return one_upload(bind_row(db_.prepared(start_checking_sql), c.of, metadata, created_at, as_integer(c.at),
                             static_cast<std::int64_t>(c.size), c.etag, crc, as_integer(c.at), name_of(c.by),
                             way_text(c), c.final_key));
}

std::optional<upload> upload_rows::complete(const completion& c, millis_clock created_at) {
  const auto metadata = metadata_text(c.of);
  const auto crc = c.crc32c ? std::optional<std::int64_t>(*c.crc32c) : std::nullopt;
  const auto claim_until = c.claim_until ? std::optional(as_integer(*c.claim_until)) : std::nullopt;
  auto completed = one_new_completion(bind_row(db_.prepared(confirm_sql), c.of, metadata, created_at, std::nullopt,
                                               static_cast<std::int64_t>(c.size), c.etag, crc, as_integer(c.at),
                                               name_of(c.by), way_text(c), claim_until));
  if (completed) charge_completion(*completed, c.size, c.at);
  return completed;
}

confirmation upload_rows::overwrite(const completion& c) {
  auto row = existing(c.of.id);
  if (row.state != upload_state::completed) return {std::move(row)};
  if (row.key != c.of.key) return {std::move(row)}; // an object under another key has not overwritten this one
  if (!c.is_current || row.etag == c.etag || row.overwritten_etag == c.etag) return {std::move(row)};
  auto overwritten = one_upload(db_.prepared(overwrite_sql).bind(as_integer(c.at), c.etag, c.of.id));
  if (!overwritten) return {existing(c.of.id)}; // another node was faster
  charge_overwrite(*overwritten, c.size);
  outbox_.announce(webhook_type::overwritten, *overwritten, c.at);
  report(*overwritten);
  return {std::move(*overwritten)};
}

void upload_rows::break_off(const std::string& id, const std::string& attempt) {
  if (const auto issued = one_upload(db_.prepared(break_off_sql).bind(id, attempt))) report(*issued);
}

upload upload_rows::fail(const upload& u, const std::string& attempt, const std::string& code, millis_clock at) {
  const auto metadata = metadata_text(u);
  auto& s = bind_row(db_.prepared(fail_sql), u, metadata, u.created_at, check_after_end(u), attempt, code);
  auto failed = s.step() ? std::optional(read_upload(s)) : std::nullopt;
  const bool is_first = failed && s.integer() == 1;
  s.rewind();
  if (!failed) return existing(u.id);
  if (is_first) outbox_.announce(webhook_type::failed, *failed, at);
  report(*failed);
  return std::move(*failed);
}

// --- checks of the store ---------------------------------------------------------------------

upload upload_rows::check_later(const upload& u, millis_clock at) {
  const auto metadata = metadata_text(u);
  const auto created_at = u.created_at == millis_clock{} ? at : u.created_at;
  auto row = one_upload(bind_row(db_.prepared(check_later_sql), u, metadata, created_at, as_integer(at)));
  return row ? std::move(*row) : existing(u.id);
}

std::vector<upload> upload_rows::lease_due_checks(millis_clock now, millis_clock leased_until, std::size_t max,
                                                  const bucket_names& without) {
  return lease(due_sql_, now, leased_until, max, without);
}

std::vector<upload> upload_rows::lease_due_probes(millis_clock now, millis_clock leased_until, std::size_t max,
                                                  const bucket_names& without) {
  return lease(probe_sql_, now, leased_until, max, without);
}

std::vector<upload> upload_rows::lease(const std::string& select, millis_clock now, millis_clock leased_until,
                                       std::size_t max, const bucket_names& without) {
  const auto buckets = listed_buckets(without);
  auto found = all_uploads(db_.prepared(select).bind(as_integer(now), buckets, as_limit(max)));
  auto& lease_one = db_.prepared(check_at_sql);
  for (const auto& u : found) lease_one.bind(as_integer(leased_until), u.id).run();
  return found;
}

std::int64_t upload_rows::first_check(const upload& u) const {
  const auto end = u.expires_at + grace_;
  return as_integer(first_probe_.count() ? std::min(u.created_at + first_probe_, end) : end);
}

std::optional<upload> upload_rows::expire(const std::string& id, millis_clock at) {
  if (auto expired = one_upload(db_.prepared(expire_sql).bind(id))) {
    quotas_.charge(*expired, std::nullopt, std::nullopt);
    outbox_.announce(webhook_type::expired, *expired, at);
    report(*expired);
    return expired;
  }
  auto ended = one_upload(db_.prepared(end_checks_sql).bind(id));
  if (ended)
    quotas_.charge(*ended, ended->charged, std::nullopt); // a failed upload reserves while its form can be posted
  return ended;
}

// The row existed one statement ago.
upload upload_rows::existing(const std::string& id) {
  auto found = find_upload(db_, id);
  if (!found) throw transaction_error(transaction_failure::conflict, "upload " + id + " was deleted meanwhile");
  return std::move(*found);
}

std::size_t upload_rows::purge(millis_clock created_before, std::size_t max) {
  std::vector<std::string> ids;
  auto& s = db_.prepared(purge_sql_).bind(as_integer(created_before), as_limit(max));
  while (s.step()) ids.push_back(s.text());
  s.rewind();
  quotas_.purge_days(day_of(created_before));
  auto& remove = db_.prepared(delete_sql);
  for (const auto& id : ids) {
    outbox_.delete_of(id);
    remove.bind(id).run();
  }
  return ids.size();
}

} // namespace postern
