#include <postern/io/rows/quota_rows.hpp>

#include <algorithm>
#include <limits>

namespace postern {
namespace {

// A sum's row. day 0: of all days.
struct row_name {
  const std::string& profile;
  const char* scope;
  const std::string& user;
  std::int64_t day;
};

const std::string nobody; // in the rows of all users

row_name name_of(const quota_sum& sum, const std::string& profile, const std::string& user, std::int64_t day) {
  return {profile, sum.is_of_user ? "user" : "profile", sum.is_of_user ? user : nobody, sum.is_of_day ? day : 0};
}

// One statement checks and reserves, so that two nodes never give the same bytes away.
constexpr const char* reserve_sql =
    "INSERT INTO quotas (profile, scope, \"user\", day, used, reserved, in_flight) VALUES ($1, $2, $3, $4, 0, $5, 1) "
    "ON CONFLICT (profile, scope, \"user\", day) DO UPDATE "
    "SET reserved = quotas.reserved + excluded.reserved, in_flight = quotas.in_flight + 1 "
    "WHERE quotas.used + quotas.reserved + excluded.reserved <= $6 AND quotas.in_flight < $7 RETURNING 1";
constexpr const char* charge_sql = "UPDATE uploads SET charged = $1, reserved = $2 WHERE id = $3";
constexpr const char* add_sql =
    "UPDATE quotas SET used = used + $1, reserved = reserved + $2, in_flight = in_flight + $3 "
    "WHERE profile = $4 AND scope = $5 AND \"user\" = $6 AND day = $7";
constexpr const char* find_sql = "SELECT used, reserved, in_flight FROM quotas "
                                 "WHERE profile = $1 AND scope = $2 AND \"user\" = $3 AND day = $4";

std::int64_t limit_of(std::uint64_t max) {
  constexpr std::uint64_t none = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(max ? std::min(max, none) : none);
}

quota_totals find_totals(sql::database& db, const row_name& of) {
  auto& s = db.prepared(find_sql).bind(of.profile, of.scope, of.user, of.day);
  quota_totals found;
  if (s.step()) {
    found.used = static_cast<std::uint64_t>(s.integer().value_or(0));
    found.reserved = static_cast<std::uint64_t>(s.integer().value_or(0));
    found.in_flight = static_cast<std::uint64_t>(s.integer().value_or(0));
  }
  s.rewind();
  return found;
}

} // namespace

quota_usage find_usage(sql::database& db, const std::string& profile, const std::string& user, std::int64_t day) {
  const auto sums = sums_of({});
  quota_usage found;
  quota_totals* const into[] = {&found.all, &found.all_of_day, &found.user, &found.user_of_day};
  for (std::size_t n = 0; n < sums.size(); ++n) *into[n] = find_totals(db, name_of(sums[n], profile, user, day));
  return found;
}

std::optional<failure> quota_rows::reserve(const upload& u, const quota& limits, millis_clock at) {
  if (auto fits = fits_in(limits, u.reserved.value()); !fits) return fits.error();
  const auto bytes = static_cast<std::int64_t>(*u.reserved);
  const auto sums = sums_of(limits);
  for (std::size_t n = 0; n < sums.size(); ++n) {
    const auto row = name_of(sums[n], u.profile, u.user, u.quota_day.value());
    auto& s = db_.prepared(reserve_sql)
                  .bind(row.profile, row.scope, row.user, row.day, bytes, limit_of(sums[n].max_bytes),
                        limit_of(sums[n].max_in_flight));
    const bool has_room = s.step();
    s.rewind();
    if (has_room) continue;
    auto refusal = over_quota(sums[n], find_totals(db_, row), *u.reserved, at);
    while (n-- > 0) add(u, sums[n], 0, -bytes, -1); // of the sums that had room; nobody has seen it before the commit
    return refusal;
  }
  return std::nullopt;
}

void quota_rows::charge(upload& u, std::optional<std::uint64_t> charged, std::optional<std::uint64_t> reserved) {
  if (!u.quota_day || (u.charged == charged && u.reserved == reserved)) return;
  const auto difference = [](const auto& now, const auto& before) {
    return static_cast<std::int64_t>(now.value_or(0)) - static_cast<std::int64_t>(before.value_or(0));
  };
  const auto in_flight = [](const auto& is_charged, const auto& is_reserved) {
    return is_reserved && !is_charged ? 1 : 0;
  };
  const auto change = in_flight(charged, reserved) - in_flight(u.charged, u.reserved);
  for (const auto& sum : sums_of({}))
    add(u, sum, difference(charged, u.charged), difference(reserved, u.reserved), change);
  const auto column = [](const auto& n) { return n ? std::optional(static_cast<std::int64_t>(*n)) : std::nullopt; };
  db_.prepared(charge_sql).bind(column(charged), column(reserved), u.id).run();
  u.charged = charged;
  u.reserved = reserved;
}

void quota_rows::release(const upload& u) {
  if (!u.quota_day || !u.charged) return;
  for (const auto& sum : sums_of({}))
    if (!sum.is_of_day) add(u, sum, -static_cast<std::int64_t>(*u.charged), 0, 0);
}

void quota_rows::add(const upload& u, const quota_sum& sum, std::int64_t used, std::int64_t reserved,
                     std::int64_t in_flight) {
  const auto row = name_of(sum, u.profile, u.user, u.quota_day.value());
  db_.prepared(add_sql).bind(used, reserved, in_flight, row.profile, row.scope, row.user, row.day).run();
}

void quota_rows::purge_days(std::int64_t before) {
  db_.prepared("DELETE FROM quotas WHERE day > 0 AND day < $1 AND reserved = 0 AND in_flight = 0").bind(before).run();
}

} // namespace postern
