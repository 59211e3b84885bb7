#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/file_type.hpp>
#include <postern/flow/completion/verify.hpp>

#include <algorithm>
#include <array>

namespace postern {
namespace {

std::array<metrics::counter, 3> verdicts{{
    {"postern_type_checks_total", "Files whose first bytes were looked at, by verdict", "verdict=\"fits\""},
    {"postern_type_checks_total", "Files whose first bytes were looked at, by verdict", "verdict=\"mismatch\""},
    {"postern_type_checks_total", "Files whose first bytes were looked at, by verdict", "verdict=\"unknown\""},
}};

std::string declared_type(const upload& u, const stored_object& found) {
  return u.content_type.empty() ? content_type_of(found.meta) : u.content_type;
}

failure mismatch(type_verdict v, std::string_view declared, std::string_view found) {
  const auto seen = v == type_verdict::unknown ? "of no known type" : "those of " + quote(found);
  return failure{errc::type_mismatch, "declared as " + quote(declared) + "; its first bytes are " + seen};
}

} // namespace

verifier::verifier(const std::map<std::string, profile>& profiles, type_finder* finder, store& objects, ledger& records,
                   std::function<millis_clock()> clock)
    : profiles_(profiles), finder_(finder), store_(objects), ledger_(records), clock_(std::move(clock)) {
  rules_of_unknown_.on_mismatch = mismatch_action::remove;
  for (const auto& [name, p] : profiles_) {
    if (!p.checks(profile_check::type)) continue;
    rules_of_unknown_.verify = {profile_check::type};
    if (p.on_mismatch == mismatch_action::keep) rules_of_unknown_.on_mismatch = mismatch_action::keep;
  }
}

const profile& verifier::rules_of(const std::string& name) const {
  const auto found = profiles_.find(name);
  return found == profiles_.end() ? rules_of_unknown_ : found->second;
}

task<result<void>> verifier::judge(std::string profile, std::string content_type, std::string first_bytes) const {
  const auto& rules = rules_of(profile);
  if (!rules.checks(profile_check::type)) co_return result<void>{};
  if (!finder_) co_return failure{errc::internal, "there is no finder of file types"};
  auto found = co_await finder_->find(std::move(first_bytes));
  if (!found) co_return found.error();
  const auto verdict = judge_type(content_type, *found, rules.type_equivalents);
  verdicts[static_cast<std::size_t>(verdict)].add();
  if (verdict == type_verdict::fits) co_return result<void>{};
  co_return mismatch(verdict, content_type, *found);
}

// The bytes are those of the object that was found, or there are none.
task<result<std::string>> verifier::read_beginning(const upload& u, const stored_object& found) const {
  if (found.size == 0) co_return std::string{};
  object_name name{u.bucket, u.key};
  const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(found.size, looked_at_bytes));
  auto bytes = co_await store_.read_some(std::move(name), found.etag, 0, wanted);
  if (bytes && bytes->size() != wanted)
    co_return failure{errc::unavailable,
                      "the store sent " + std::to_string(bytes->size()) + " of " + std::to_string(wanted) + " bytes"};
  if (!bytes && bytes.error().code == errc::conflict)
    co_return failure{errc::unavailable, "the object was replaced while it was looked at"};
  co_return bytes;
}

task<result<void>> verifier::examine(upload u, stored_object found) const {
  if (!looks_at(u.profile)) co_return result<void>{};
  auto bytes = co_await read_beginning(u, found);
  if (!bytes) co_return bytes.error();
  auto declared = declared_type(u, found);
  auto fits = co_await judge(u.profile, std::move(declared), std::move(*bytes));
  if (fits || fits.error().code != errc::type_mismatch) co_return fits;
  // Recorded before the object is removed: if this process ends in between, the sweep looks again.
  std::string code(text_of(errc::type_mismatch).name);
  std::string any_attempt;
  auto row = co_await ledger_.fail(u, std::move(any_attempt), std::move(code), clock_());
  if (!row) co_return row.error();
  if (row->state == upload_state::checking) co_return fits; // the acceptor rejects it
  if (row->state != upload_state::failed && row->state != upload_state::expired) co_return result<void>{};
  log::warning("upload failed: the file is not what it declares",
               {{"upload", u.id}, {"profile", u.profile}, {"why", fits.error().on}});
  if (rules_of(u.profile).on_mismatch == mismatch_action::remove) co_await remove(std::move(u), std::move(found.etag));
  co_return fits;
}

// A failure is logged only: the sweep checks the failed upload once more, after its form has expired.
task<> verifier::remove(upload u, std::string etag) const {
  object_name name{std::move(u.bucket), std::move(u.key)};
  auto removed = co_await store_.remove_if_match(std::move(name), std::move(etag));
  if (!removed)
    log::warning("the object of a failed upload was not removed",
                 {{"upload", u.id}, {"why", describe(removed.error())}});
}

} // namespace postern
