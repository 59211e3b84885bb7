#include <postern/base/random.hpp>
#include <postern/base/uuid.hpp>
#include <postern/io/rows/webhook_rows.hpp>

#include <algorithm>
#include <array>

namespace postern {
namespace {

const std::string columns = "id, upload_id, url, type, payload, tries, created_at, due_at, last_error";
// After this time, a message whose endpoint no node has becomes a dead letter.
constexpr auto max_unowned = std::chrono::hours(24);
constexpr auto unowned_interval = std::chrono::minutes(1); // between two searches for such messages
constexpr std::size_t max_unowned_batch = 100;

// Each write of the same key overwrites the object. So a message about an overwrite waits for the next ones.
constexpr auto overwrite_delay = std::chrono::seconds(1);

const std::string select = "SELECT " + columns + " FROM webhooks WHERE ";

// For a stopped endpoint, the message is a dead letter from the beginning. It is listed, and `retry` sends it. Not
// INSERT … SELECT: for that, SQLite writes a statement journal, with the old pages of each statement.
constexpr std::string_view announce_sql =
    "INSERT INTO webhooks (id, upload_id, url, type, payload, tries, created_at, delivery_order, due_at, last_error) "
    "VALUES ($1, $2, $3, $4, $5, 0, $6, $7, CASE WHEN EXISTS (SELECT 1 FROM stopped_endpoints WHERE url = $3) "
    "THEN CAST(NULL AS BIGINT) ELSE $8 END, COALESCE((SELECT why FROM stopped_endpoints WHERE url = $3), ''))";
// Only a message that no node has leased yet, which its due_at tells.
constexpr std::string_view merge_sql =
    "UPDATE webhooks SET payload = $1 WHERE upload_id = $2 AND url = $3 AND type = $4 AND created_at > $5 "
    "AND tries = 0 AND (due_at IS NULL OR due_at = created_at + 1000) RETURNING id";
constexpr std::string_view lease_sql = "UPDATE webhooks SET due_at = $1 WHERE id = $2";
constexpr std::string_view delivered_sql = "DELETE FROM webhooks WHERE id = $1";
// A delivery that was in flight when its message became a dead letter does not revive the message.
constexpr std::string_view undelivered_sql =
    "UPDATE webhooks SET tries = tries + 1, last_error = $1, due_at = $2 WHERE id = $3 AND due_at IS NOT NULL";
constexpr std::string_view stop_sql =
    "INSERT INTO stopped_endpoints (url, why) VALUES ($1, $2) ON CONFLICT (url) DO NOTHING";
constexpr std::string_view end_retries_sql =
    "UPDATE webhooks SET due_at = NULL, last_error = $1 WHERE url = $2 AND due_at IS NOT NULL";
constexpr std::string_view expire_sql =
    "UPDATE webhooks SET due_at = NULL, last_error = $1 WHERE id IN (SELECT id FROM webhooks WHERE url = $2 "
    "AND due_at < $3 ORDER BY delivery_order, due_at, id LIMIT 100) RETURNING id";
constexpr std::size_t expire_batch = 100; // in small steps, so that the index is used whatever the table holds
constexpr std::string_view retry_one_sql =
    "UPDATE webhooks SET due_at = $1, tries = 0 WHERE id = $2 AND due_at IS NULL RETURNING url";
constexpr std::string_view retry_all_sql =
    "UPDATE webhooks SET due_at = $1, tries = 0 WHERE due_at IS NULL RETURNING url";
constexpr std::string_view resume_one_sql = "DELETE FROM stopped_endpoints WHERE url = $1";
constexpr std::string_view resume_all_sql = "DELETE FROM stopped_endpoints";
constexpr std::string_view purge_one_sql = "DELETE FROM webhooks WHERE id = $1 AND due_at IS NULL RETURNING id";
constexpr std::string_view purge_all_sql = "DELETE FROM webhooks WHERE due_at IS NULL RETURNING id";
constexpr std::string_view delete_of_sql = "DELETE FROM webhooks WHERE upload_id = $1";

webhook read_row(sql::statement& s) {
  webhook w;
  w.id = s.text();
  w.upload_id = s.text();
  w.url = s.text();
  w.type = s.text();
  w.payload = s.text();
  w.tries = static_cast<unsigned>(s.integer().value_or(0));
  w.created_at = as_time(s.integer().value_or(0));
  const auto due = s.integer();
  w.is_dead = !due;
  w.due_at = as_time(due.value_or(0));
  w.last_error = s.text();
  return w;
}

std::vector<webhook> all(sql::statement& s) {
  std::vector<webhook> found;
  while (s.step()) found.push_back(read_row(s));
  s.rewind();
  return found;
}

// An SQL list for IN. It must not be empty, so it begins with '', which is no endpoint's URL.
std::string urls_of(const std::vector<webhook_endpoint>& endpoints) {
  std::string list = "''";
  for (const auto& e : endpoints) {
    list += ", '";
    for (const char c : e.url) list.append(c == '\'' ? "''" : std::string(1, c));
    list += "'";
  }
  return list;
}

// The order in which messages are delivered: completions first, because applications wait for them.
std::int64_t delivery_order(webhook_type type) { return type == webhook_type::completed ? 0 : 1; }

std::size_t count(sql::statement& s) {
  std::size_t n = 0;
  while (s.step()) ++n;
  s.rewind();
  return n;
}

} // namespace

std::vector<webhook> list_webhooks(sql::database& db, const webhook_filter& f) {
  std::string sql = select + "(url = $1 OR $1 = '')";
  if (f.is_dead) sql += *f.is_dead ? " AND due_at IS NULL" : " AND due_at IS NOT NULL";
  if (f.upload_id.empty()) return all(db.prepared(sql + " ORDER BY id LIMIT $2").bind(f.url, as_limit(f.limit)));
  sql += " AND upload_id = $2 ORDER BY id LIMIT $3";
  return all(db.prepared(sql).bind(f.url, f.upload_id, as_limit(f.limit)));
}

std::optional<millis_clock> oldest_webhook(sql::database& db) {
  auto& s = db.prepared("SELECT created_at FROM webhooks WHERE due_at IS NOT NULL ORDER BY created_at LIMIT 1").bind();
  const auto found = s.step() ? s.integer() : std::nullopt;
  s.rewind();
  return found ? std::optional(as_time(*found)) : std::nullopt;
}

webhook_rows::webhook_rows(sql::database& db, std::vector<webhook_endpoint> endpoints)
    : db_(db), endpoints_(std::move(endpoints)),
      due_sql_(select + "url = $1 AND delivery_order = $2 AND due_at <= $3 ORDER BY due_at, id LIMIT $4" +
               db.get_dialect().for_update_skip_locked),
      unowned_sql_(select + "due_at <= $1 AND url NOT IN (" + urls_of(endpoints_) + ") ORDER BY due_at, id LIMIT $2" +
                   db.get_dialect().for_update_skip_locked) {}

// Ids sort by creation, also within one millisecond: a counter replaces the first 12 random bits of the UUID (RFC 9562
// §6.2, method 1).
std::string webhook_rows::next_id(millis_clock at) {
  count_in_last_time_ = at == last_time_ ? count_in_last_time_ + 1 : 0;
  last_time_ = at;
  std::array<unsigned char, 10> bytes;
  random_bytes(bytes);
  bytes[0] = static_cast<unsigned char>(count_in_last_time_ >> 8);
  bytes[1] = static_cast<unsigned char>(count_in_last_time_);
  return "msg_" + uuid_v7(at, bytes);
}

void webhook_rows::announce(webhook_type type, const upload& u, millis_clock at) {
  std::string payload;
  for (const auto& e : endpoints_) {
    if (!e.wants(type)) continue;
    if (payload.empty()) payload = webhook_payload(type, u, at);
    if (merge(type, u, e.url, payload, at)) continue;
    const auto id = next_id(at);
    const auto due = type == webhook_type::overwritten ? at + overwrite_delay : at;
    db_.prepared(announce_sql)
        .bind(id, u.id, e.url, name_of(type), payload, as_integer(at), delivery_order(type), as_integer(due))
        .run();
  }
}

bool webhook_rows::merge(webhook_type type, const upload& u, const std::string& url, const std::string& payload,
                         millis_clock at) {
  if (type != webhook_type::overwritten) return false;
  const auto since = as_integer(at - overwrite_delay);
  return count(db_.prepared(merge_sql).bind(payload, u.id, url, name_of(type), since)) > 0;
}

std::vector<webhook> webhook_rows::due(millis_clock now, millis_clock leased_until,
                                       const std::vector<webhook_demand>& demands) {
  bury_unowned(now);
  std::vector<webhook> found;
  for (const auto& from : demands)
    for (auto& w : due_to(from, now)) found.push_back(std::move(w));
  auto& lease = db_.prepared(lease_sql);
  for (const auto& w : found) lease.bind(as_integer(leased_until), w.id).run();
  return found;
}

std::vector<webhook> webhook_rows::due_to(const webhook_demand& from, millis_clock now) {
  const auto due = [&](std::int64_t order, std::size_t max) {
    return all(db_.prepared(due_sql_).bind(from.url, order, as_integer(now), as_limit(max)));
  };
  auto found = due(delivery_order(webhook_type::completed), from.max - from.max / 8);
  if (found.size() == from.max) return found;
  for (auto& w : due(delivery_order(webhook_type::failed), from.max - found.size())) found.push_back(std::move(w));
  return found;
}

// While a new configuration is rolled out, another node may have endpoints that this node does not have. So a message
// waits for a while.
void webhook_rows::bury_unowned(millis_clock now) {
  if (now >= unowned_checked_at_ && now < unowned_checked_at_ + unowned_interval) return;
  unowned_checked_at_ = now;
  for (const auto& w : all(db_.prepared(unowned_sql_).bind(as_integer(now - max_unowned), as_limit(max_unowned_batch))))
    record_failed_delivery(w.id, "no endpoint with this URL is configured", std::nullopt);
}

void webhook_rows::record_delivery(const std::string& id) { db_.prepared(delivered_sql).bind(id).run(); }

void webhook_rows::record_failed_delivery(const std::string& id, const std::string& why,
                                          std::optional<millis_clock> retry_at) {
  const auto due = retry_at ? std::optional(as_integer(*retry_at)) : std::nullopt;
  db_.prepared(undelivered_sql).bind(why, due, id).run();
}

std::size_t webhook_rows::expire(const std::string& url, millis_clock due_before, const std::string& why) {
  std::size_t all = 0, some = expire_batch;
  for (; some == expire_batch; all += some)
    some = count(db_.prepared(expire_sql).bind(why, url, as_integer(due_before)));
  return all;
}

void webhook_rows::stop(const std::string& url, const std::string& why) {
  db_.prepared(stop_sql).bind(url, why).run();
  db_.prepared(end_retries_sql).bind(why, url).run();
}

std::size_t webhook_rows::retry(const std::vector<std::string>& ids, millis_clock now) {
  if (ids.empty()) {
    const auto n = count(db_.prepared(retry_all_sql).bind(as_integer(now)));
    db_.prepared(resume_all_sql).bind().run();
    return n;
  }
  std::vector<std::string> urls;
  for (const auto& id : ids) {
    auto& s = db_.prepared(retry_one_sql).bind(as_integer(now), id);
    while (s.step()) urls.push_back(s.text());
    s.rewind();
  }
  for (const auto& url : urls) db_.prepared(resume_one_sql).bind(url).run();
  return urls.size();
}

std::size_t webhook_rows::purge(const std::vector<std::string>& ids) {
  if (ids.empty()) return count(db_.prepared(purge_all_sql).bind());
  std::size_t n = 0;
  for (const auto& id : ids) n += count(db_.prepared(purge_one_sql).bind(id));
  return n;
}

void webhook_rows::delete_of(const std::string& upload_id) { db_.prepared(delete_of_sql).bind(upload_id).run(); }

} // namespace postern
