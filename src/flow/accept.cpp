#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/flow/accept.hpp>

#include <algorithm>
#include <utility>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

metrics::counter accepted("postern_verdicts_total", "Verdicts about stored objects", "verdict=\"accept\"");
metrics::counter rejected("postern_verdicts_total", "Verdicts about stored objects", "verdict=\"reject\"");

constexpr auto longest_pause = 30min; // between two questions about one object, or two tries to move it
constexpr auto pause_without_hook = 1min;
constexpr auto pause_of_full_bucket = 5s;  // while its store is slow
constexpr auto pause_of_silent_hook = 10s; // after a question that got no answer
// A store that copies more slowly may be asked twice for the same copy, which does no harm.
constexpr std::uint64_t slowest_copy = 10 << 20; // bytes a second

} // namespace

task<> acceptor::run_round(group& on) {
  while (in_flight_ < options_.max_in_flight) {
    const auto room = options_.max_in_flight - in_flight_;
    const auto now = options_.clock();
    auto due = co_await ledger_.lease_due_verdicts(now, now + options_.lease, room);
    if (!due) {
      log::warning("due verdicts cannot be read from the ledger", {{"why", describe(due.error())}});
      co_return;
    }
    in_flight_ += due->size();
    for (auto& u : *due) on.start(pursue(std::move(u)));
    if (due->size() < room) co_return;
  }
}

task<> acceptor::pursue(upload u) {
  const auto id = u.id;
  auto& of_bucket = in_flight_of_[u.bucket];
  const bool has_room = of_bucket < options_.max_of_bucket;
  result<void> done;
  if (has_room) {
    ++of_bucket;
    done = co_await take_next_step(std::move(u));
    --of_bucket;
  } else {
    done = co_await ledger_.postpone_verdict(id, options_.clock() + pause_of_full_bucket, false);
  }
  --in_flight_;
  if (!done) log::warning("a verdict is not settled yet", {{"upload", id}, {"why", describe(done.error())}});
}

task<result<void>> acceptor::take_next_step(upload u) {
  const auto hook = options_.hooks.find(u.profile);
  if (!u.is_accepted && options_.clock() < deadline_of(u)) {
    if (hook == options_.hooks.end()) co_return co_await wait_for_hook(u);
    co_return co_await ask(u, hook->second);
  }
  verdict said{u.is_accepted, "no verdict before the deadline", u.etag};
  auto done = co_await settle(u.id, std::move(said));
  if (!done && done.error().code != errc::conflict) co_return done.error(); // conflict: the application was faster
  co_return result<void>{};
}

millis_clock acceptor::deadline_of(const upload& u) const {
  const auto hook = options_.hooks.find(u.profile);
  const milliseconds deadline = hook == options_.hooks.end() ? accept_hook{}.deadline : hook->second.deadline;
  return u.stored_at.value_or(u.created_at) + deadline;
}

// The configuration of this node has no hook for the upload. Another node's may have one.
task<result<void>> acceptor::wait_for_hook(const upload& u) {
  log::warning("the accept hook gave no verdict",
               {{"upload", u.id}, {"questions", u.asked}, {"why", "the profile has no accept.url on this node"}});
  const auto at = options_.clock() + pause_without_hook;
  co_return co_await ledger_.postpone_verdict(u.id, at, false);
}

task<result<void>> acceptor::ask(const upload& u, const verdict_hook& hook) {
  const auto now = options_.clock();
  auto& silent_until = silent_until_[u.profile];
  if (now < silent_until) { // other profiles' uploads would wait behind questions that nobody answers
    const auto later = silent_until;
    co_return co_await ledger_.postpone_verdict(u.id, later, false);
  }
  const auto payload = webhook_payload(webhook_type::checking, u, now);
  const auto message = "chk_" + u.id;
  auto answer = co_await post_webhook(hook.to, options_.user_agent, message, payload, now, hook.timeout);
  // The node stops. The lease ends, and any node asks.
  if (!answer && answer.error().code == errc::cancelled) co_return answer.error();
  if (!answer) {
    silent_until = options_.clock() + pause_of_silent_hook;
    auto why = describe(answer.error());
    co_return co_await ask_later(u, std::move(why));
  }
  co_return co_await take_answer(u, std::move(*answer));
}

task<result<void>> acceptor::take_answer(const upload& u, http_response answer) {
  if (answer.status == 202) { // the application will call; until then only the deadline counts
    const auto deadline = deadline_of(u);
    co_return co_await ledger_.postpone_verdict(u.id, deadline, false);
  }
  auto said = parse_verdict(answer.body);
  if (answer.status != 200 || !said) {
    auto why = "the hook answered " + std::to_string(answer.status);
    why += answer.status != 200 ? ": " + quote(answer.body, 120) : ", but " + describe(said.error());
    co_return co_await ask_later(u, std::move(why));
  }
  said->etag = u.etag; // it is about the object that was asked about, and about no other one
  auto done = co_await settle(u.id, std::move(*said));
  if (done || done.error().code == errc::conflict) co_return result<void>{}; // the application was faster
  co_return done.error();
}

// Pauses grow as those of webhooks, but the last ones stay short enough for a scanner that was away.
milliseconds acceptor::pause_after(const upload& u) const {
  const milliseconds pause = webhook_pause(u.asked + 1, options_.random()).value_or(longest_pause);
  return std::min<milliseconds>(pause, longest_pause);
}

task<result<void>> acceptor::ask_later(const upload& u, std::string why) {
  log::warning("the accept hook gave no verdict", {{"upload", u.id}, {"questions", u.asked + 1}, {"why", why}});
  const auto at = std::min(options_.clock() + pause_after(u), deadline_of(u));
  co_return co_await ledger_.postpone_verdict(u.id, at, true);
}

// --- verdicts ---

task<result<upload>> acceptor::settle(std::string id, verdict said) {
  if (!said.is_accepted) co_return co_await reject(std::move(id), std::move(said));
  co_return co_await accept(std::move(id), std::move(said.etag));
}

milliseconds acceptor::time_to_move(const upload& u) const {
  return options_.lease + std::chrono::seconds(u.size.value_or(0) / slowest_copy);
}

task<result<upload>> acceptor::accept(std::string id, std::string etag) {
  auto known = co_await ledger_.find(id);
  if (!known) co_return known;
  const auto until = options_.clock() + time_to_move(*known);
  auto row = co_await ledger_.accept(std::move(id), std::move(etag), until);
  if (!row || row->state == upload_state::completed) co_return row;
  const auto checking = *row;
  auto moved = co_await move(std::move(*row));
  if (moved) co_return moved;
  log::warning("the accepted object is not moved yet", {{"upload", checking.id}, {"why", describe(moved.error())}});
  const auto at = options_.clock() + pause_after(checking);
  (void)co_await ledger_.postpone_verdict(checking.id, at, true); // also ends the lease
  co_return checking;
}

// Copies the accepted object to its final key. Without quarantine it is there already.
task<result<upload>> acceptor::move(upload u) {
  object_name from{u.bucket, u.key}, to{u.bucket, u.final_key};
  auto etag = u.etag;
  if (!u.final_key.empty()) {
    auto copied = co_await store_.copy(std::move(from), std::move(etag), std::move(to));
    const bool is_replaced = !copied && store_answered(copied.error());
    if (is_replaced) copied = co_await find_copy(u);
    if (is_replaced && !copied && store_answered(copied.error())) co_return co_await check_again(std::move(u));
    if (!copied) co_return copied.error();
    etag = std::move(copied->etag);
  }
  const auto now = options_.clock();
  const auto hook = options_.hooks.find(u.profile);
  std::optional<millis_clock> claim_until;
  if (hook != options_.hooks.end() && hook->second.unclaimed.count()) claim_until = now + hook->second.unclaimed;
  auto completed = co_await ledger_.finish_accepting(u.id, std::move(etag), now, claim_until);
  if (!completed) co_return completed.error();
  if (completed->is_new) {
    accepted.add();
    note_completion(completed->row);
  }
  if (!u.final_key.empty()) {
    object_name quarantined{u.bucket, u.key};
    (void)co_await store_.remove_if_match(std::move(quarantined), u.etag); // else the sweep does, later
  }
  co_return std::move(completed->row);
}

// The object was copied before, and a node was killed before it could say so. Only accepted objects come to a final
// key. errc::object_absent, errc::conflict: there is no copy.
task<result<stored_object>> acceptor::find_copy(const upload& u) {
  object_name name{u.bucket, u.final_key};
  auto found = co_await store_.head(std::move(name));
  if (found && upload_id_of(found->meta) != u.id)
    co_return failure{errc::conflict, "the object at the final key is another upload's"};
  co_return found;
}

// The object that was judged is not there any more: the form was posted again meanwhile, and what it brought is judged
// anew, if it is what was signed. Or nothing is there.
task<result<upload>> acceptor::check_again(upload u) {
  auto found = co_await completer_.examine(u, std::nullopt);
  const auto now = options_.clock();
  if (found) {
    log::info("upload checked again", {{"upload", u.id}, {"why", "the object was replaced after it was judged"}});
    co_return co_await ledger_.check_again(u.id, std::move(*found), now);
  }
  const auto& why = found.error();
  if (!store_answered(why) && why.code != errc::type_mismatch) co_return why;
  std::string any_etag;
  auto reason = describe(why);
  auto ended = co_await ledger_.reject(u.id, std::move(any_etag), std::move(reason), now, true);
  if (!ended) co_return ended.error();
  if (ended->is_new) note_rejection(ended->row);
  co_return std::move(ended->row);
}

void acceptor::note_rejection(const upload& u) {
  rejected.add();
  log::info("upload rejected", {{"upload", u.id}, {"reason", u.reason}});
}

task<result<upload>> acceptor::reject(std::string id, verdict said) {
  const auto now = options_.clock();
  auto ended = co_await ledger_.reject(std::move(id), std::move(said.etag), std::move(said.reason), now, false);
  if (!ended) co_return ended.error();
  if (ended->is_new) note_rejection(ended->row);
  object_name name{ended->row.bucket, ended->row.key};
  (void)co_await store_.remove_if_match(std::move(name), ended->row.etag); // else the sweep does, later
  co_return std::move(ended->row);
}

} // namespace postern
