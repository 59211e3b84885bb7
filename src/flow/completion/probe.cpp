#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/flow/completion/probe.hpp>

#include <algorithm>
#include <array>

namespace postern {

using namespace std::chrono_literals;

namespace {

metrics::counter probes("postern_probes_total", "Uploads that the store was asked about before their form had ended",
                        "");

constexpr std::array<std::chrono::milliseconds, 5> pauses{prober::first_pause, 15s, 1min, 5min, 15min};
constexpr auto pause_after_silence = 10s; // before a store that gave no answer is asked again

} // namespace

millis_clock next_probe(const upload& u, std::chrono::milliseconds grace, millis_clock now) {
  const auto age = now - u.created_at;
  const auto found = std::find_if(pauses.begin(), pauses.end(), [&](auto pause) { return pause > age; });
  const auto next = found != pauses.end() ? u.created_at + *found : now + pauses.back();
  return next < u.expires_at ? next : u.expires_at + grace;
}

task<> prober::run_round() {
  const auto now = options_.clock();
  auto due = co_await ledger_.lease_due_probes(now, now + options_.lease, options_.max_at_once, {});
  if (!due) co_return; // the sweep says so, too
  bucket_names silent;
  group asked(co_await asio::this_coro::executor);
  for (auto& u : *due) asked.start(probe(std::move(u), silent));
  for (bool all = false; !all;) all = co_await asked.wait(options_.lease); // each probe has a deadline
}

task<> prober::probe(upload u, bucket_names& silent) {
  if (silent.contains(u.bucket)) co_return; // its lease ends, and it is due again
  probes.add();
  const auto id = u.id, bucket = u.bucket;
  auto done = co_await complete_or_wait(std::move(u));
  if (done) co_return;
  if (is_silence(done.error())) silent.insert(bucket);
  log::debug("an upload cannot be probed", {{"upload", id}, {"why", describe(done.error())}});
}

task<result<void>> prober::complete_or_wait(upload u) {
  const auto now = options_.clock();
  auto found = co_await completer_.find_object(u);
  if (found) {
    auto recorded = co_await completer_.record(std::move(u), std::move(*found), completion_source::probe, now);
    if (!recorded) co_return recorded.error();
    co_return result<void>{};
  }
  const bool is_answered = store_answered(found.error());
  const auto next = is_answered ? next_probe(u, options_.grace, now) : now + pause_after_silence;
  auto later = co_await ledger_.check_later(std::move(u), next);
  if (!later) co_return later.error();
  if (!is_answered) co_return found.error();
  co_return result<void>{};
}

} // namespace postern
