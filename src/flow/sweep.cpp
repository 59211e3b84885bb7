#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/sweep.hpp>

namespace postern {
namespace {

metrics::counter asked("postern_sweep_questions_total", "Uploads of which the sweep asked the store", "");
metrics::counter forgotten("postern_forgotten_total", "Uploads that were old enough to be forgotten", "");

} // namespace

task<> sweeper::round() {
  for (bool more = true; more;) more = co_await settle();
  for (bool more = options_.keep.count() > 0; more;) more = co_await forget();
}

task<bool> sweeper::settle() {
  const auto now = options_.clock();
  auto due = co_await ledger_.due_questions(now, now + options_.hold, options_.at_once);
  if (!due) {
    log::warning("sweep: the ledger cannot be asked", {{"why", describe(due.error())}});
    co_return false;
  }
  bool in_trouble = false;
  group asking(co_await asio::this_coro::executor);
  for (auto& u : *due) asking.start(ask(std::move(u), in_trouble));
  for (bool all = false; !all;) all = co_await asking.wait(options_.hold); // each has an end of its own
  co_return !due->empty() && !in_trouble;
}

task<> sweeper::ask(upload u, bool& in_trouble) {
  asked.add();
  const auto id = u.id;
  auto settled = co_await completer_.by_sweep(std::move(u), options_.clock());
  if (settled) co_return;
  log::warning("sweep: an upload could not be settled", {{"upload", id}, {"why", describe(settled.error())}});
  if (retryable(settled.error().code)) in_trouble = true; // others would fare no better just now
}

task<bool> sweeper::forget() {
  auto gone = co_await ledger_.forget(options_.clock() - options_.keep, options_.batch);
  if (!gone) {
    log::warning("sweep: the ledger cannot be asked", {{"why", describe(gone.error())}});
    co_return false;
  }
  forgotten.add(*gone);
  if (*gone) log::debug("uploads forgotten", {{"count", *gone}});
  co_return *gone == options_.batch;
}

} // namespace postern
