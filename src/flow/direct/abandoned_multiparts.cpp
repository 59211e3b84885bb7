#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/completion/record.hpp>
#include <postern/flow/direct/abandoned_multiparts.hpp>

#include <algorithm>
#include <utility>

namespace postern {
namespace {

metrics::counter aborted_count("postern_multiparts_aborted_total",
                               "Multipart uploads that nobody continued, and that were aborted in the store", "");
metrics::gauge open_count("postern_multiparts_open", "Multipart uploads that were begun in a store and not ended", "");
metrics::gauge open_bytes("postern_multipart_bytes", "Bytes that stores may hold of multipart uploads not ended", "");

} // namespace

task<> abandoned_multiparts::run_round() {
  bucket_names silent;
  for (bool more = true; more;) more = co_await abort_batch(silent);
  const auto totals = co_await ledger_.count_multiparts();
  if (!totals) co_return;
  open_count.set(static_cast<std::int64_t>(totals->count));
  open_bytes.set(static_cast<std::int64_t>(totals->bytes));
}

task<bool> abandoned_multiparts::abort_batch(bucket_names& silent) {
  const auto now = clock_(), leased_until = now + lease;
  auto due = co_await ledger_.lease_due_multiparts(now, leased_until, batch, silent);
  if (!due) {
    log::warning("abandoned multipart uploads cannot be read from the ledger", {{"why", describe(due.error())}});
    co_return false;
  }
  for (auto& m : *due) {
    if (silent.contains(m.name.bucket)) continue;
    const auto name = m.name;
    const auto id = m.id;
    auto done = co_await abort(std::move(m), leased_until);
    if (done) continue;
    if (done.error().code == errc::conflict) { // not known yet
      ledger_.keep_multiparts({id}, now + pause_while_beginning);
      continue;
    }
    log::warning("an abandoned multipart upload cannot be aborted",
                 {{"bucket", name.bucket}, {"key", quote(name.key)}, {"why", describe(done.error())}});
    if (is_silence(done.error())) silent.insert(name.bucket);
  }
  co_return due->size() == batch;
}

task<result<void>> abandoned_multiparts::abort(open_multipart m, millis_clock leased_until) {
  // The aborts before it took their time, and its client may have come back.
  auto known = co_await ledger_.find_multipart(m.id);
  if (!known && known.error().code != errc::not_found) co_return known.error();
  if (!known || known->due_at != leased_until || known->store_id != m.store_id) co_return result<void>{};
  auto& objects = store_.for_bucket(m.name.bucket);
  auto* parts = objects.as_multipart_store();
  auto* kept = m.way == upload_way::resumable ? objects.as_resumable_store() : nullptr;
  if (kept && !m.store_id.empty()) {
    auto done = co_await kept->discard(m.name, m.store_id);
    if (!done) co_return done;
  }
  if (parts) {
    auto done = co_await abort_with_unnamed(*parts, ledger_, m, clock_());
    if (!done) co_return done;
  }
  if (parts || kept) { // else its store has left the configuration
    aborted_count.add();
    log::info("abandoned multipart upload aborted",
              {{"bucket", m.name.bucket}, {"key", quote(m.name.key)}, {"bytes_at_most", m.bytes}});
  }
  ledger_.end_multipart(std::move(m.id), std::move(m.store_id));
  co_return result<void>{};
}

task<result<void>> abort_unnamed(multipart_store& parts, ledger& records, open_multipart m, millis_clock now) {
  auto in_store = co_await parts.list_multiparts(m.name);
  if (!in_store) co_return in_store.error();
  auto known = co_await records.list_multiparts(m.name);
  if (!known) co_return known.error();
  const auto is_beginning = [&](const auto& one) {
    return one.id != m.id && one.store_id.empty() && one.created_at + max_beginning > now;
  };
  if (std::any_of(known->begin(), known->end(), is_beginning))
    co_return failure{errc::conflict, "another multipart upload of this object is just being begun"};
  for (auto& upload : *in_store) {
    const auto is_same = [&](const auto& one) { return one.store_id == upload.id; };
    if (std::any_of(known->begin(), known->end(), is_same)) continue;
    auto done = co_await parts.abort_multipart(std::move(upload));
    if (!done) co_return done;
  }
  co_return result<void>{};
}

task<result<void>> abort_with_unnamed(multipart_store& parts, ledger& records, open_multipart m, millis_clock now) {
  if (!m.store_id.empty()) {
    store_upload named{m.name, m.store_id};
    auto aborted = co_await parts.abort_multipart(std::move(named));
    if (!aborted) co_return aborted;
  }
  co_return co_await abort_unnamed(parts, records, std::move(m), now);
}

} // namespace postern
