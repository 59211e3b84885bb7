#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/completion/sweep.hpp>

namespace postern {
namespace {

metrics::counter checked("postern_sweep_checks_total", "Uploads that the sweep checked in the store", "");
metrics::counter deleted("postern_deleted_uploads_total", "Uploads deleted from the ledger after ledger.retention", "");

constexpr std::chrono::seconds pause_after_silence{10}; // before a store that gave no answer is asked again
// Keys that lack a permission: the answer will be the same for long, and the uploads of others must not wait behind it.
constexpr std::chrono::minutes pause_after_refusal{5};

} // namespace

task<> sweeper::run_round() {
  bucket_names silent;
  for (bool more = true; more;) more = co_await settle_batch(silent);
  for (bool more = true; more;) more = co_await remover_.remove_unclaimed(options_.clock(), silent);
  for (bool more = options_.retention.count() > 0; more;) more = co_await delete_batch();
}

task<bool> sweeper::settle_batch(bucket_names& silent) {
  const auto now = options_.clock();
  auto due = co_await ledger_.lease_due_checks(now, now + options_.lease, options_.max_in_flight, silent);
  if (!due) {
    log::warning("sweep: due checks cannot be read from the ledger", {{"why", describe(due.error())}});
    co_return false;
  }
  group checks(co_await asio::this_coro::executor);
  for (auto& u : *due) checks.start(settle(std::move(u), silent));
  for (bool all = false; !all;) all = co_await checks.wait(options_.lease); // each check has a deadline
  co_return !due->empty();
}

task<> sweeper::settle(upload u, bucket_names& silent) {
  checked.add();
  const auto id = u.id, bucket = u.bucket;
  auto settled = co_await check(std::move(u), options_.clock());
  if (settled) co_return;
  if (silent.contains(bucket)) co_return; // said for another upload
  log::warning("sweep: an upload cannot be checked", {{"upload", id}, {"why", describe(settled.error())}});
  if (is_silence(settled.error())) silent.insert(bucket);
}

// An object that fits completes the upload. Without one the upload expires, once its policy has expired. Returns the
// upload as recorded now. A failure that is not the ledger's is the store's: check again later.
task<result<upload>> sweeper::check(upload u, millis_clock now) {
  if (u.state == upload_state::removing) co_return co_await remover_.finish(std::move(u), now);
  const bool is_over = u.state == upload_state::removed || u.state == upload_state::rejected;
  if (is_over || !u.form_key.empty()) co_return co_await delete_late_object(std::move(u));
  if (u.state == upload_state::completed) co_return co_await settle_quota(std::move(u), now);
  const auto id = u.id;
  auto found = co_await completer_.find_object(u);
  if (found) co_return co_await completer_.record(std::move(u), std::move(*found), completion_source::sweep, now);
  const auto why = found.error();
  if (!store_answered(why)) {
    const std::chrono::milliseconds pause =
        why.code == errc::store_failed ? std::chrono::milliseconds(pause_after_refusal) : pause_after_silence;
    (void)co_await ledger_.check_later(std::move(u), now + pause); // also ends the lease
    co_return why;
  }
  if (now < u.expires_at) co_return u; // the object may still arrive
  if (u.way && comes_in_parts(*u.way) && u.state == upload_state::receiving) {
    auto parts = co_await ledger_.find_multipart(id);
    if (!parts && parts.error().code != errc::not_found) co_return parts.error();
    if (parts && parts->due_at > now) co_return co_await ledger_.check_later(std::move(u), parts->due_at);
  }
  auto ended = co_await ledger_.expire(id, now);
  if (ended && ended->state == upload_state::expired)
    log::info("upload expired", {{"upload", id}, {"why", describe(why)}});
  co_return ended;
}

// The form of a completed upload has expired. Until now it could be posted again, with another size and, straight to
// the store, unseen.
task<result<upload>> sweeper::settle_quota(upload u, millis_clock now) {
  auto found = co_await completer_.find_object(u);
  if (!found && !store_answered(found.error())) co_return found.error(); // the lease ends, and the sweep asks again
  const auto size = found ? std::optional(found->size) : std::nullopt;
  if (found && found->etag != u.etag) {
    auto of = u;
    auto recorded = co_await completer_.record(std::move(of), std::move(*found), completion_source::sweep, now);
    if (!recorded) co_return recorded.error();
  }
  auto settled = co_await ledger_.settle(u.id, size);
  if (!settled) co_return settled.error();
  co_return u;
}

// The form has expired. Until now it could be posted again, although its upload was removed or rejected, or its object
// moved out of quarantine.
task<result<upload>> sweeper::delete_late_object(upload u) {
  auto deleted = co_await remover_.delete_late_object(u);
  if (!deleted) co_return deleted.error(); // the lease ends, and the sweep asks again
  auto settled = co_await ledger_.settle(u.id, std::nullopt);
  if (!settled) co_return settled.error();
  co_return u;
}

task<bool> sweeper::delete_batch() {
  auto count = co_await ledger_.purge_uploads(options_.clock() - options_.retention, options_.batch);
  if (!count) {
    log::warning("sweep: old uploads cannot be deleted from the ledger", {{"why", describe(count.error())}});
    co_return false;
  }
  deleted.add(*count);
  if (*count) log::debug("old uploads deleted from the ledger", {{"count", *count}});
  co_return *count == options_.batch;
}

} // namespace postern
