#include <postern/flow/issue.hpp>

#include <utility>

namespace postern {

quota quota_for(const profile& rules, const caller_limits& limits) {
  auto q = rules.limits;
  if (limits.quota) q.per_user = *limits.quota;
  return q;
}

task<result<signed_form>> form_issuer::issue(const sign_request& ask, const caller& who, millis_clock now) const {
  auto made = form_signer_.sign(ask, who, now);
  co_return co_await record(std::move(made), who.limits);
}

task<result<signed_form>> form_issuer::issue_blank(const std::string& profile, const std::string& return_to,
                                                   const caller& who, millis_clock now) const {
  // S3 would take any number of files from it, each with a name of its own.
  if (const auto* rules = form_signer_.find_profile(profile); rules && !quota_for(*rules, who.limits).empty())
    co_return failure{errc::bad_request, "profile " + quote(profile) +
                                             " has a quota, so the file's name must be known when the form is signed; "
                                             "use POST /v1/uploads"};
  auto made = form_signer_.sign_blank(profile, return_to, who, now);
  co_return co_await record(std::move(made), who.limits);
}

task<result<signed_form>> form_issuer::record(result<signed_form> made, caller_limits limits) const {
  if (!made) co_return made;
  if (limits.quota && *limits.quota == 0) co_return failure{errc::forbidden, "this caller has a quota of 0 bytes"};
  const auto* rules = form_signer_.find_profile(made->row.profile);
  const auto q = rules ? quota_for(*rules, limits) : quota{};
  if (q.empty()) {
    ledger_.issue(std::move(made->row));
    co_return made;
  }
  auto reserving = ledger_.reserve(std::move(made->row), q);
  if (auto reserved = co_await std::move(reserving); !reserved) co_return reserved.error();
  co_return made;
}

} // namespace postern
