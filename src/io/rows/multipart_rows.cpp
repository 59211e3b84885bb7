#include "upload_row.hpp"
#include <postern/io/rows/multipart_rows.hpp>
#include <postern/io/rows/webhook_rows.hpp>

#include <utility>

namespace postern {
namespace {

const std::string given =
    "id, bucket, key, store_id, size, part_size, has_checksums, bytes, created_at, due_at, way, length";
const std::string columns = given + ", kept, kept_crc32c, holder, held_until, wanted_by";
const std::string select_multipart = "SELECT " + columns + " FROM multiparts WHERE ";

std::string insert(std::string_view on_conflict) {
  return "INSERT INTO multiparts (" + given +
         ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (id) DO "
         "UPDATE SET due_at = excluded.due_at, created_at = CASE WHEN multiparts.store_id = '' THEN "
         "excluded.created_at "
         "ELSE multiparts.created_at END" +
         std::string(on_conflict) + " RETURNING " + columns;
}

const std::string begin_sql = insert("");
// The plan and has_checksums of the first call stay.
const std::string parts_sql = insert(", bytes = CASE WHEN excluded.bytes > multiparts.bytes THEN excluded.bytes ELSE "
                                     "multiparts.bytes END, length = COALESCE(multiparts.length, excluded.length)");
// The value of uploads.attempt while the client sends parts: a fallback upload of the same form that still runs then
// decides nothing any more.
constexpr const char* attempt_of_parts = "parts";
const std::string receiving_sql =
    "UPDATE uploads SET state = 'receiving', way = $1, attempt = $2, failed_because = '', received = NULL, "
    "ask_at = CASE WHEN ask_at < expires_at THEN ask_at ELSE $3 END WHERE id = $4 AND state IN ('issued', "
    "'receiving')" + // an expired one has given its quota back
    returning_upload;
const std::string find_upload_sql = select_upload + "id = $1";
const std::string name_sql = "UPDATE multiparts SET store_id = $1 WHERE id = $2 AND store_id = ''";
// It is free when nobody holds it, when the time of its holder is over, and to its holder, whose call was repeated.
const std::string is_free = "(holder = '' OR holder = $1 OR held_until <= $2)";
const std::string take_sql = "UPDATE multiparts SET holder = CASE WHEN " + is_free +
                             " THEN $1 ELSE holder END, held_until = CASE WHEN " + is_free +
                             " THEN $3 ELSE held_until END, wanted_by = CASE WHEN " + is_free +
                             " THEN '' ELSE $1 END WHERE id = $4 RETURNING " + columns;
const std::string keep_turn_sql =
    "UPDATE multiparts SET kept = $1, kept_crc32c = $2, bytes = $1, held_until = $3, due_at = $4, holder = CASE WHEN "
    "CAST($3 AS BIGINT) = 0 THEN '' ELSE holder END WHERE id = $5 AND holder = $6 RETURNING " +
    columns;
const std::string keep_sql = "UPDATE multiparts SET due_at = $1 WHERE id = $2";
const std::string end_sql = "DELETE FROM multiparts WHERE id = $1";
const std::string end_named_sql = end_sql + " AND store_id = $2 RETURNING id";
// The form can be posted again, until it expires.
const std::string reopen_sql =
    "UPDATE uploads SET state = 'issued', ask_at = CASE WHEN ask_at < expires_at THEN "
    "ask_at ELSE expires_at + $1 END WHERE id = $2 AND attempt = $3 AND state = 'receiving'" +
    returning_upload;
const std::string find_sql = select_multipart + "id = $1";
const std::string of_key_sql = select_multipart + "key = $1 AND bucket = $2 ORDER BY id";
constexpr const char* count_sql = "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM multiparts";

sql::statement& bind(sql::statement& s, const open_multipart& m) {
  return s.bind(m.id, m.name.bucket, m.name.key, m.store_id, static_cast<std::int64_t>(m.plan.size),
                static_cast<std::int64_t>(m.plan.part_size), std::int64_t{m.has_checksums},
                static_cast<std::int64_t>(m.bytes), as_integer(m.created_at), as_integer(m.due_at), name_of(m.way),
                m.length ? std::optional(static_cast<std::int64_t>(*m.length)) : std::nullopt);
}

open_multipart read(sql::statement& s) {
  const auto number = [&s] { return static_cast<std::uint64_t>(s.integer().value_or(0)); };
  open_multipart m;
  m.id = s.text();
  m.name.bucket = s.text();
  m.name.key = s.text();
  m.store_id = s.text();
  m.plan.size = number();
  m.plan.part_size = number();
  m.has_checksums = number() != 0;
  m.bytes = number();
  m.created_at = as_time(s.integer().value_or(0));
  m.due_at = as_time(s.integer().value_or(0));
  m.way = upload_way_of(s.text()).value_or(upload_way::fallback);
  if (const auto length = s.integer()) m.length = static_cast<std::uint64_t>(*length);
  m.kept.size = number();
  m.kept.crc32c = static_cast<std::uint32_t>(number());
  m.holder = s.text();
  m.held_until = as_time(s.integer().value_or(0));
  m.wanted_by = s.text();
  return m;
}

std::vector<open_multipart> all(sql::statement& s) {
  std::vector<open_multipart> found;
  while (s.step()) found.push_back(read(s));
  s.rewind();
  return found;
}

std::optional<open_multipart> one(sql::statement& s) {
  auto found = all(s);
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

} // namespace

std::optional<open_multipart> find_multipart(sql::database& db, const std::string& id) {
  return one(db.prepared(find_sql).bind(id));
}

multipart_totals count_multiparts(sql::database& db) {
  auto& s = db.prepared(count_sql).bind();
  multipart_totals totals;
  if (s.step()) {
    totals.count = static_cast<std::uint64_t>(s.integer().value_or(0));
    totals.bytes = static_cast<std::uint64_t>(s.integer().value_or(0));
  }
  s.rewind();
  return totals;
}

multipart_rows::multipart_rows(sql::database& db, std::chrono::milliseconds grace,
                               std::function<void(const upload&)> on_change)
    : db_(db), grace_(grace), on_change_(std::move(on_change)),
      due_sql_(select_multipart + "due_at <= $1" + not_in_buckets("$2") + " ORDER BY due_at, id LIMIT $3" +
               db.get_dialect().for_update_skip_locked) {}

result<started_parts> multipart_rows::start_parts(const open_multipart& m) {
  auto receiving =
      one_upload(db_.prepared(receiving_sql).bind(name_of(m.way), attempt_of_parts, as_integer(m.due_at), m.id));
  if (!receiving) {
    auto row = one_upload(db_.prepared(find_upload_sql).bind(m.id));
    if (!row) return no_such_upload();
    return failure{errc::conflict, "the upload is " + std::string(name_of(row->state)) + " and takes no parts"};
  }
  if (on_change_) on_change_(*receiving);
  auto parts = one(bind(db_.prepared(parts_sql), m));
  return started_parts{std::move(*receiving), std::move(*parts)};
}

void multipart_rows::begin(const open_multipart& m) { bind(db_.prepared(begin_sql), m).run(); }

std::optional<open_multipart> multipart_rows::name(const std::string& id, const std::string& store_id) {
  db_.prepared(name_sql).bind(store_id, id).run();
  return find_multipart(db_, id);
}

std::optional<open_multipart> multipart_rows::take_turn(const std::string& id, const std::string& holder,
                                                        millis_clock now, millis_clock until) {
  return one(db_.prepared(take_sql).bind(holder, as_integer(now), as_integer(until), id));
}

std::optional<open_multipart> multipart_rows::keep_turn(const std::string& id, const std::string& holder,
                                                        kept_bytes kept, millis_clock until, millis_clock due_at) {
  return one(db_.prepared(keep_turn_sql)
                 .bind(static_cast<std::int64_t>(kept.size), std::int64_t{kept.crc32c}, as_integer(until),
                       as_integer(due_at), id, holder));
}

void multipart_rows::keep(const std::vector<std::string>& ids, millis_clock due_at) {
  auto& s = db_.prepared(keep_sql);
  for (const auto& id : ids) s.bind(as_integer(due_at), id).run();
}

void multipart_rows::end(const std::string& id, const std::optional<std::string>& store_id) {
  if (!store_id) return db_.prepared(end_sql).bind(id).run();
  auto& s = db_.prepared(end_named_sql).bind(id, *store_id);
  const bool has_ended = s.step();
  s.rewind();
  if (!has_ended) return;
  const auto issued =
      one_upload(db_.prepared(reopen_sql).bind(static_cast<std::int64_t>(grace_.count()), id, attempt_of_parts));
  if (issued && on_change_) on_change_(*issued);
}

std::vector<open_multipart> multipart_rows::lease_due(millis_clock now, millis_clock leased_until, std::size_t max,
                                                      const bucket_names& without) {
  const auto buckets = listed_buckets(without);
  auto due = all(db_.prepared(due_sql_).bind(as_integer(now), buckets, as_limit(max)));
  auto& lease = db_.prepared(keep_sql);
  for (const auto& m : due) lease.bind(as_integer(leased_until), m.id).run();
  return due;
}

std::vector<open_multipart> multipart_rows::list_of(const object_name& name) {
  return all(db_.prepared(of_key_sql).bind(name.key, name.bucket));
}

} // namespace postern
