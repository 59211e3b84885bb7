#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/core/manage_request.hpp>
#include <postern/flow/accept.hpp>

#include <algorithm>
#include <utility>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

metrics::counter accepted("postern_verdicts_total", "Verdicts about stored objects", "verdict=\"accept\"");
metrics::counter rejected("postern_verdicts_total", "Verdicts about stored objects", "verdict=\"reject\"");
metrics::counter late("postern_verdicts_total", "Verdicts about stored objects", "verdict=\"none\"");

constexpr auto longest_pause = 30min; // between two questions about one object
constexpr auto first_pause = 1s;      // after a failure of the store or the ledger
// A store that copies more slowly may be asked twice for the same copy, which does no harm.
constexpr std::uint64_t slowest_copy = 10 << 20; // bytes a second

} // namespace

task<> acceptor::run_round() {
  for (bool more = true; more;) {
    const auto now = options_.clock();
    auto due = co_await ledger_.lease_due_verdicts(now, now + options_.lease, options_.max_in_flight);
    if (!due) {
      log::warning("due verdicts cannot be read from the ledger", {{"why", describe(due.error())}});
      co_return;
    }
    more = due->size() == options_.max_in_flight;
    group checks(co_await asio::this_coro::executor);
    for (auto& u : *due) checks.start(settle(std::move(u)));
    for (bool all = false; !all;) all = co_await checks.wait(options_.lease); // each step has an end
  }
}

task<> acceptor::settle(upload u) {
  const auto id = u.id;
  const auto hook = options_.hooks.find(u.profile);
  result<void> done;
  if (u.is_accepted) {
    auto moved = co_await accept(id);
    if (!moved) done = moved.error();
  } else if (hook == options_.hooks.end()) {
    done = co_await ask_later(u, "profiles." + u.profile + ".accept has no url on this node");
  } else if (options_.clock() >= u.stored_at.value_or(u.created_at) + hook->second.deadline) {
    auto ended = co_await reject(id, "no verdict before the deadline");
    if (!ended) done = ended.error();
    late.add();
  } else {
    done = co_await ask(u, hook->second);
  }
  if (!done) log::warning("a verdict is not settled yet", {{"upload", id}, {"why", describe(done.error())}});
}

task<result<void>> acceptor::ask(const upload& u, const verdict_hook& hook) {
  const auto now = options_.clock();
  const auto payload = webhook_payload(webhook_type::checking, u, now);
  const auto message = "chk_" + u.id;
  auto answer = co_await post_webhook(hook.to, options_.user_agent, message, payload, now, hook.timeout);
  if (!answer) {
    auto why = describe(answer.error());
    co_return co_await ask_later(u, std::move(why));
  }
  co_return co_await take_answer(u, hook, std::move(*answer));
}

task<result<void>> acceptor::take_answer(const upload& u, const verdict_hook& hook, http_response answer) {
  if (answer.status == 202) { // the application will call; until then only the deadline counts
    const auto deadline = u.stored_at.value_or(u.created_at) + hook.deadline;
    co_return co_await ledger_.postpone_verdict(u.id, deadline);
  }
  auto said = parse_verdict(answer.body);
  if (answer.status != 200 || !said) {
    auto why = "the hook answered " + std::to_string(answer.status);
    why += answer.status != 200 ? ": " + quote(answer.body, 120) : ", but " + describe(said.error());
    co_return co_await ask_later(u, std::move(why));
  }
  result<upload> done;
  if (said->is_accepted)
    done = co_await accept(u.id);
  else
    done = co_await reject(u.id, said->reason);
  if (done || done.error().code == errc::conflict) co_return result<void>{}; // the application was faster
  co_return done.error();
}

// Pauses grow as those of webhooks, but the last ones stay short enough for a scanner that was away.
task<result<void>> acceptor::ask_later(const upload& u, std::string why) {
  const milliseconds pause = webhook_pause(u.asked + 1, options_.random()).value_or(longest_pause);
  log::warning("the accept hook gave no verdict", {{"upload", u.id}, {"questions", u.asked + 1}, {"why", why}});
  const auto at = options_.clock() + std::min<milliseconds>(pause, longest_pause);
  co_return co_await ledger_.postpone_verdict(u.id, at);
}

// --- verdicts ---

task<result<upload>> acceptor::accept(std::string id) {
  auto known = co_await ledger_.find(id);
  if (!known) co_return known;
  const auto until = options_.clock() + time_to_move(*known);
  auto row = co_await ledger_.accept(std::move(id), until);
  if (!row || row->state == upload_state::completed) co_return row;
  const auto checking = *row;
  auto moved = co_await move(std::move(*row));
  if (moved) co_return moved;
  log::warning("a verdict is not settled yet", {{"upload", checking.id}, {"why", describe(moved.error())}});
  co_return checking;
}

milliseconds acceptor::time_to_move(const upload& u) const {
  return options_.lease + std::chrono::seconds(u.size.value_or(0) / slowest_copy);
}

// Copies the accepted object to its final key. Without quarantine it is there already.
task<result<upload>> acceptor::move(upload u) {
  object_name from{u.bucket, u.key}, to{u.bucket, u.final_key};
  auto etag = u.etag;
  if (!u.final_key.empty()) {
    auto copied = co_await store_.copy(std::move(from), std::move(etag), std::move(to));
    if (!copied && (copied.error().code == errc::conflict || copied.error().code == errc::object_absent))
      co_return co_await check_again(std::move(u));
    if (!copied) {
      const auto at = options_.clock() + first_pause;
      (void)co_await ledger_.accept(u.id, at); // ends the lease
      co_return copied.error();
    }
    etag = std::move(copied->etag);
  }
  const auto now = options_.clock();
  const auto hook = options_.hooks.find(u.profile);
  std::optional<millis_clock> claim_until;
  if (hook != options_.hooks.end() && hook->second.unclaimed.count()) claim_until = now + hook->second.unclaimed;
  auto completed = co_await ledger_.finish_accepting(u.id, std::move(etag), now, claim_until);
  if (!completed) co_return completed;
  accepted.add();
  log::info("upload accepted", {{"upload", u.id}, {"size", u.size.value_or(0)}});
  if (!u.final_key.empty()) {
    object_name quarantined{u.bucket, u.key};
    (void)co_await store_.remove_if_match(std::move(quarantined), u.etag); // else the sweep does, later
  }
  co_return completed;
}

// The object that was judged is not there any more: the form was posted again meanwhile, and what it brought is judged
// anew. Or nothing is there.
task<result<upload>> acceptor::check_again(upload u) {
  object_name name{u.bucket, u.key};
  auto found = co_await store_.head(std::move(name));
  if (!found && found.error().code != errc::object_absent) co_return found.error();
  const auto now = options_.clock();
  if (!found) co_return co_await ledger_.reject(u.id, "the object disappeared while it was checked", now, true);
  log::info("upload checked again", {{"upload", u.id}, {"why", "the object was replaced after its verdict"}});
  co_return co_await ledger_.check_again(u.id, std::move(*found), now);
}

task<result<upload>> acceptor::reject(std::string id, std::string reason) {
  const auto now = options_.clock();
  auto row = co_await ledger_.reject(std::move(id), std::move(reason), now, false);
  if (!row) co_return row;
  rejected.add();
  log::info("upload rejected", {{"upload", row->id}, {"reason", row->reason}});
  object_name name{row->bucket, row->key};
  (void)co_await store_.remove_if_match(std::move(name), row->etag); // else the sweep does, later
  co_return row;
}

} // namespace postern
