#include <postern/base/json.hpp>
#include <postern/io/rows/rate_rows.hpp>
#include <postern/io/rows/webhook_rows.hpp>

#include <chrono>
#include <utility>

namespace postern {
namespace {

using namespace std::chrono_literals;

constexpr const char* add_sql =
    "INSERT INTO rates (id, node, taken, noted_at) "
    "SELECT key, CAST($1 AS TEXT), CAST(value AS BIGINT), CAST($2 AS BIGINT) FROM json_each_text(CAST($3 AS json)) "
    "ON CONFLICT (id, node) DO UPDATE SET taken = rates.taken + excluded.taken, noted_at = excluded.noted_at";
constexpr const char* others_sql = "SELECT asked.id, CAST(COALESCE(SUM(rates.taken), 0) AS BIGINT) FROM "
                                   "json_object_keys(CAST($1 AS json)) AS asked (id) "
                                   "LEFT JOIN rates ON rates.id = asked.id AND rates.node <> $2 GROUP BY asked.id";
// The rows of nodes that ended are left for several nodes to delete, so that none of them waits for another.
constexpr const char* expire_sql =
    "DELETE FROM rates WHERE (id, node) IN (SELECT id, node FROM rates "
    "WHERE (node = $1 AND noted_at < $2) OR noted_at < $3 LIMIT 10000 FOR UPDATE SKIP LOCKED)";

constexpr auto memory_of_ended_nodes = 5min;

} // namespace

std::vector<rate_count> rate_rows::exchange(const std::string& node, const std::vector<rate_count>& taken,
                                            millis_clock now) {
  if (taken.empty()) return {};
  expire(node, now);
  json_writer w;
  w.begin_object();
  for (const auto& one : taken) w.member(one.id, one.taken);
  w.end_object();
  const auto json = w.take();
  db_.prepared(add_sql).bind(node, as_integer(now), json).run();
  std::vector<rate_count> all;
  auto& others = db_.prepared(others_sql).bind(json, node);
  while (others.step()) {
    auto id = others.text();
    all.push_back({std::move(id), static_cast<std::uint64_t>(others.integer().value_or(0))});
  }
  others.rewind();
  return all;
}

// Not in each exchange: the table is read as a whole.
void rate_rows::expire(const std::string& node, millis_clock now) {
  if (now - expired_at_ < 5s && now >= expired_at_) return;
  expired_at_ = now;
  db_.prepared(expire_sql)
      .bind(node, as_integer(now - ledger::rate_memory), as_integer(now - memory_of_ended_nodes))
      .run();
}

} // namespace postern
