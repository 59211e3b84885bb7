#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/front/endpoints/usage.hpp>

#include <algorithm>
#include <optional>

namespace postern::front {
namespace {

// One sum as JSON. Without a limit, `limit` and `left` are left out.
void write_sum(json_writer& w, std::string_view name, const quota_totals& now, std::optional<std::uint64_t> max) {
  const auto held = now.used + now.reserved;
  w.key(name);
  w.begin_object();
  w.member("used", now.used);
  w.member("reserved", now.reserved);
  if (max) {
    w.member("limit", *max);
    w.member("left", *max - std::min(held, *max));
  }
  w.end_object();
}

void write_in_flight(json_writer& w, std::string_view name, const quota_totals& now, std::uint64_t max) {
  w.key(name);
  w.begin_object();
  w.member("now", now.in_flight);
  if (max) w.member("limit", max);
  w.end_object();
}

// 0 in a quota: no limit.
std::optional<std::uint64_t> limit_of(std::uint64_t max) { return max ? std::optional(max) : std::nullopt; }

} // namespace

task<response> usage_endpoint::show(request& r) {
  if (auto counted = gate_.count_question(r); !counted) co_return make_problem(counted.error(), r.id);
  const auto who = co_await gate_.identify(r);
  if (!who) co_return make_problem(who.error(), r.id);
  if (auto counted = gate_.count_question(*who); !counted) co_return make_problem(counted.error(), r.id);
  const auto named = query_parameter(r.query, "profile"), user = query_parameter(r.query, "user");
  const std::string profile = named ? *named : "default", of = user ? *user : who->user;
  if (const auto why = why_no_key_part(of); !of.empty() && !why.empty())
    co_return make_problem(failure{errc::bad_request, "user " + why}, r.id);
  const bool may_see_all = who->may(caller_right::user);
  if (!who->may(caller_right::read) || !who->may_use(profile) || (of != who->user && !may_see_all))
    co_return make_problem(failure{errc::forbidden, "this caller may not see the usage of user " + quote(of) +
                                                        " in profile " + quote(profile)},
                           r.id);
  const auto* rules = form_signer_.find_profile(profile);
  if (!rules) co_return make_problem(failure{errc::not_found, "there is no profile " + quote(profile)}, r.id);
  const auto now = now_millis();
  const auto found = co_await ledger_.find_usage(profile, of, day_of(now));
  if (!found) co_return make_problem(found.error(), r.id);
  const auto own = of == who->user ? who->limits : caller_limits{};
  const auto limits = quota_for(*rules, own);

  json_writer w;
  w.begin_object();
  w.member("profile", profile);
  w.member("user", of);
  write_sum(w, "user_day", found->user_of_day, limit_of(limits.per_user_day));
  write_sum(w, "user_total", found->user, own.quota ? own.quota : limit_of(limits.per_user));
  write_in_flight(w, "user_in_flight", found->user, limits.per_user_in_flight);
  if (may_see_all) {
    write_sum(w, "day", found->all_of_day, limit_of(limits.per_day));
    write_sum(w, "total", found->all, limit_of(limits.total));
    write_in_flight(w, "in_flight", found->all, limits.in_flight);
  }
  w.member("day_ends_at", iso8601(end_of_day(now)));
  w.end_object();
  auto made = make_response(200, "application/json", w.take());
  made.with("Cache-Control", "no-store");
  co_return made;
}

} // namespace postern::front
