#include <postern/base/uuid.hpp>
#include <postern/flow/issue.hpp>

#include <chrono>
#include <utility>

namespace postern {

using namespace std::chrono_literals;

task<result<upload>> find_issued(ledger& records, std::string id, millis_clock now) {
  constexpr std::chrono::milliseconds max_delay = 500ms;
  auto row = co_await records.find(id);
  if (!is_uuid(id) || std::chrono::abs(now - time_of_uuid_v7(id)) > max_delay * 10) co_return row;
  for (auto waited = 0ms; waited < max_delay && !row && row.error().code == errc::not_found; waited += 50ms) {
    timer pause(co_await asio::this_coro::executor, 50ms);
    co_await pause.async_wait(use_task);
    row = co_await records.find(id);
  }
  co_return row;
}

quota quota_for(const profile& rules, const caller_limits& limits) {
  auto q = rules.limits;
  if (limits.quota) q.per_user = *limits.quota;
  return q;
}

result<quota> form_issuer::quota_of(const std::string& profile, const caller_limits& limits) const {
  if (limits.quota && *limits.quota == 0) return failure{errc::forbidden, "this caller has a quota of 0 bytes"};
  const auto* rules = form_signer_.find_profile(profile);
  return rules ? quota_for(*rules, limits) : quota{};
}

task<result<signed_form>> form_issuer::issue(const sign_request& ask, const caller& who, millis_clock now) const {
  auto made = form_signer_.sign(ask, who, now);
  if (!made) co_return made;
  const auto limits = quota_of(made->row->profile, who.limits);
  if (!limits) co_return limits.error();
  auto row = ask.ways.empty() ? std::move(*made->row) : *made->row; // the ways are planned from it
  if (limits->empty()) {
    ledger_.issue(std::move(row));
    co_return made;
  }
  auto reserving = ledger_.reserve(std::move(row), *limits);
  auto reserved = co_await std::move(reserving);
  if (!reserved) co_return reserved.error();
  co_return made;
}

task<result<signed_form>> form_issuer::issue_blank(const std::string& profile, const std::string& return_to,
                                                   const caller& who, millis_clock now) const {
  auto made = form_signer_.sign_blank(profile, return_to, who, now);
  if (!made) co_return made;
  const auto limits = quota_of(made->row->profile, who.limits);
  if (!limits) co_return limits.error();
  // S3 would take any number of files from it, each with a name of its own.
  if (!limits->empty())
    co_return failure{errc::bad_request, "profile " + quote(profile) +
                                             " has a quota, so the file's name must be known when the form is signed; "
                                             "use POST /v1/uploads"};
  ledger_.issue(std::move(*made->row));
  co_return made;
}

task<result<upload>> form_issuer::issue_plain(const sign_request& ask, const caller& who, millis_clock now) const {
  auto row = form_signer_.plan(ask, who, now);
  if (!row) co_return row;
  const auto limits = quota_of(row->profile, who.limits);
  if (!limits) co_return limits.error();
  if (limits->empty()) {
    ledger_.issue(*row);
    co_return row;
  }
  auto reserving = ledger_.reserve(*row, *limits);
  auto reserved = co_await std::move(reserving);
  if (!reserved) co_return reserved.error();
  co_return row;
}

} // namespace postern
