#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
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

task<result<upload>> remover::finish(upload u, millis_clock now) const {
  object_name name{u.bucket, u.key};
  auto deleted = co_await store_.remove_if_match(std::move(name), u.etag);
  if (!deleted && deleted.error().code != errc::conflict) co_return deleted.error();
  auto recorded = co_await ledger_.finish_removing(u.id, now);
  if (!recorded) co_return recorded;
  removed.add();
  log::info("upload removed",
            {{"upload", u.id}, {"object", deleted ? "deleted" : "left in the store: it was replaced"}});
  co_return recorded;
}

task<result<void>> remover::remove_again(const upload& u, const stored_object& found) const {
  object_name name{u.bucket, u.key};
  auto deleted = co_await store_.remove_if_match(std::move(name), found.etag);
  if (!deleted && deleted.error().code == errc::conflict) co_return result<void>{};
  co_return deleted;
}

task<bool> remover::remove_unclaimed(millis_clock now) const {
  auto due = co_await ledger_.start_removing_unclaimed(now, now + options_.lease, options_.max_in_flight);
  if (!due) {
    log::warning("sweep: unclaimed uploads cannot be read from the ledger", {{"why", describe(due.error())}});
    co_return false;
  }
  group removals(co_await asio::this_coro::executor);
  for (const auto& u : *due) removals.start(finish_and_log(u, now));
  for (bool all = false; !all;) all = co_await removals.wait(options_.lease); // each request has a deadline
  co_return due->size() == options_.max_in_flight;
}

task<> remover::finish_and_log(upload u, millis_clock now) const {
  const auto id = u.id;
  auto done = co_await finish(std::move(u), now);
  if (!done) log::warning("sweep: an upload cannot be removed", {{"upload", id}, {"why", describe(done.error())}});
}

} // namespace postern
