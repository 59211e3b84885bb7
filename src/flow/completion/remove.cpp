#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/completion/record.hpp>
#include <postern/flow/completion/remove.hpp>

#include <utility>

namespace postern {
namespace {

metrics::counter removed("postern_removed_total", "Uploads removed from the store", "");

} // namespace

task<result<upload>> remover::remove(std::string id, millis_clock now) const {
  auto started = co_await ledger_.start_removing(std::move(id), now + options_.lease);
  if (!started || started->state == upload_state::removed) co_return started;
  co_return co_await finish(std::move(*started), now);
}

namespace {

// An object of an SDK's form names no upload.
bool is_of(const upload& u, const stored_object& found) {
  const auto id = upload_id_of(found.meta);
  return id.empty() ? found.etag == u.etag : id == u.id;
}

} // namespace

// Whether there is no object of this upload under the key any more. False: the object there is another upload's.
task<result<bool>> remover::delete_object(const upload& u, std::string key) const {
  object_name name{u.bucket, std::move(key)};
  auto found = co_await store_.head(name);
  if (!found && found.error().code == errc::object_absent) co_return true;
  if (!found) co_return found.error();
  if (!is_of(u, *found)) co_return false;
  auto deleted = co_await store_.remove_if_match(std::move(name), std::move(found->etag));
  if (!deleted && deleted.error().code == errc::conflict)
    co_return failure{errc::unavailable, "the object was replaced while it was deleted"};
  if (!deleted) co_return deleted.error();
  co_return true;
}

task<result<upload>> remover::finish(upload u, millis_clock now) const {
  auto key = u.key;
  auto deleted = co_await delete_object(u, std::move(key));
  if (!deleted) co_return deleted.error();
  auto recorded = co_await ledger_.finish_removing(u.id, now);
  if (!recorded) co_return recorded;
  removed.add();
  log::info("upload removed",
            {{"upload", u.id}, {"object", *deleted ? "deleted" : "left in the store: it was replaced"}});
  co_return recorded;
}

task<result<void>> remover::delete_late_object(const upload& u) const {
  auto key = u.form_key.empty() ? u.key : u.form_key;
  auto deleted = co_await delete_object(u, std::move(key));
  if (!deleted) co_return deleted.error();
  co_return result<void>{};
}

task<bool> remover::remove_unclaimed(millis_clock now, bucket_names& silent) const {
  auto due = co_await ledger_.start_removing_unclaimed(now, now + options_.lease, options_.max_in_flight, silent);
  if (!due) {
    log::warning("sweep: unclaimed uploads cannot be read from the ledger", {{"why", describe(due.error())}});
    co_return false;
  }
  group removals(co_await asio::this_coro::executor);
  for (const auto& u : *due) removals.start(finish_and_log(u, now, silent));
  for (bool all = false; !all;) all = co_await removals.wait(options_.lease); // each request has a deadline
  co_return due->size() == options_.max_in_flight;
}

task<> remover::finish_and_log(upload u, millis_clock now, bucket_names& silent) const {
  const auto id = u.id, bucket = u.bucket;
  auto done = co_await finish(std::move(u), now);
  if (done) co_return;
  if (is_silence(done.error())) silent.insert(bucket);
  log::warning("sweep: an upload cannot be removed", {{"upload", id}, {"why", describe(done.error())}});
}

} // namespace postern
