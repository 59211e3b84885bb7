#include <postern/base/json.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/flow/notify.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

metrics::counter tries_delivered("postern_webhook_tries_total", "Tries to deliver a webhook", "outcome=\"delivered\"");
metrics::counter tries_refused("postern_webhook_tries_total", "Tries to deliver a webhook", "outcome=\"refused\"");
metrics::counter tries_gone("postern_webhook_tries_total", "Tries to deliver a webhook", "outcome=\"gone\"");
metrics::counter tries_unreachable("postern_webhook_tries_total", "Tries to deliver a webhook",
                                   "outcome=\"unreachable\"");
metrics::counter tries_timed_out("postern_webhook_tries_total", "Tries to deliver a webhook", "outcome=\"timed_out\"");
metrics::counter dead_letters("postern_webhook_dead_letters_total", "Webhooks that became dead letters", "");
metrics::gauge oldest("postern_webhook_oldest_due_seconds", "Age of the oldest webhook that is not delivered", "");

constexpr auto lease_margin = 5s; // between the end of a try and the end of its lease

// The result of one try.
struct try_result {
  bool is_answered = false, is_delivered = false;
  bool is_gone = false;      // 410: the endpoint wants no further message
  std::string why;           // why the message was not delivered
  milliseconds min_pause{0}; // the pause that the receiver asks for with Retry-After
};

// Text from outside, escaped and cut, without quotes around it.
std::string escaped(std::string_view text, std::size_t max) {
  const auto quoted = quote(text, max);
  return quoted.substr(1, quoted.size() - 2);
}

milliseconds retry_after_of(const http_response& answer) {
  const auto seconds = parse_number(answer.field("retry-after"));
  constexpr milliseconds max = 24h;
  if (!seconds) return 0ms;
  return *seconds > 86'400 ? max : std::chrono::seconds(*seconds);
}

try_result judge(const http_response& answer) {
  const auto status = "answered " + std::to_string(answer.status);
  if (answer.status >= 200 && answer.status < 300) {
    tries_delivered.add();
    return {true, true, false, {}};
  }
  if (answer.status == 410) {
    tries_gone.add();
    return {true, false, true, status};
  }
  tries_refused.add();
  if (answer.status >= 300 && answer.status < 400)
    return {true, false, false,
            status + " to " + quote(answer.field("location"), 120) + ": redirects are not followed"};
  return {true, false, false, answer.body.empty() ? status : status + ": " + quote(answer.body, 120),
          retry_after_of(answer)};
}

try_result judge(const failure& f) {
  const bool is_late = f.code == errc::timed_out;
  (is_late ? tries_timed_out : tries_unreachable).add();
  return {false, false, false, escaped(f.on, 240) + (is_late ? " (timed out)" : "")};
}

} // namespace

notifier::notifier(notifier_options options, ledger& from, io_executor on)
    : options_(std::move(options)), ledger_(from), running_(on), wakes_(on) {
  for (const auto& e : options_.endpoints) queues_[e.url].target = &e;
}

void notifier::stop() {
  is_stopped_ = true;
  wakes_.cancel();
}

task<> notifier::drain(milliseconds max, std::function<void()> cut) {
  stop();
  const bool finished = co_await running_.wait(max);
  if (finished) co_return;
  log::warning("drain timed out: webhook deliveries are cut off", {{"deliveries", running_.size()}});
  cut();
  (void)co_await running_.wait(10s);
}

task<> notifier::run() {
  boost::system::error_code ec;
  while (!is_stopped_) {
    const bool is_more_due = co_await run_round();
    if (is_more_due || is_stopped_) continue;
    wakes_.expires_after(options_.poll);
    co_await wakes_.async_wait(asio::redirect_error(use_task, ec));
  }
}

// Returns whether more messages are due and have room. An exception is a bug. It must not end all deliveries: the next
// round goes on.
task<bool> notifier::run_round() {
  try {
    const bool is_more_due = co_await take();
    if (!is_more_due && !is_stopped_) co_await measure_age();
    co_return is_more_due;
  } catch (const std::exception& e) {
    log::error("bug: an exception ended a round", {{"what", e.what()}});
  }
  co_return false;
}

// How many messages to this endpoint may be taken from the ledger now. A silent endpoint gets one at a time.
std::size_t notifier::room(const queue& q) const {
  if (is_paused(q)) return 0;
  if (is_silent(q)) return q.in_flight == 0 && q.waiting.empty() ? 1 : 0;
  return q.waiting.size() + options_.batch <= options_.max_queue ? options_.batch : 0;
}

// Returns whether more messages are due and have room.
task<bool> notifier::take() {
  std::vector<webhook_demand> demands;
  for (const auto& [url, q] : queues_)
    if (const auto n = room(q)) demands.push_back({url, n});
  const auto now = options_.clock();
  // Without an endpoint, the ledger is asked all the same: it buries messages that no endpoint will take.
  if (demands.empty() && !queues_.empty()) co_return false;
  const auto until = now + options_.lease;
  auto due = co_await ledger_.lease_due_webhooks(now, until, demands);
  if (!due) {
    log::warning("due webhooks cannot be read from the ledger", {{"why", describe(due.error())}});
    co_return false;
  }
  if (is_stopped_) co_return false;
  std::map<std::string, std::size_t, std::less<>> taken;
  for (auto& w : *due) {
    ++taken[w.url];
    enqueue(std::move(w), until);
  }
  bool is_more_due = false;
  for (const auto& d : demands) {
    auto& q = queues_.at(d.url);
    q.has_more = taken[d.url] == d.max;
    is_more_due = is_more_due || (q.has_more && room(q) > 0);
  }
  co_return is_more_due;
}

void notifier::enqueue(webhook w, millis_clock until) {
  auto& q = queues_.at(w.url);
  if (is_paused(q)) return; // it was not, when the ledger was asked
  if (in_hand_.insert(w.id).second)
    q.waiting.push_back({std::move(w), until});
  else // a clock that jumped forward ended its lease
    for (auto& l : q.waiting)
      if (l.message.id == w.id) l.until = until;
  if (q.waiting.empty() || q.in_flight >= options_.max_in_flight) return;
  ++q.in_flight;
  running_.start(serve(q));
}

// A message that waits for its next try counts too: it is not delivered.
task<> notifier::measure_age() {
  const auto now = options_.clock();
  if (now < measure_at_ && measure_at_ - now <= 1s) co_return;
  measure_at_ = now + 1s;
  auto created_at = co_await ledger_.oldest_webhook();
  if (!created_at) co_return; // the ledger is away: the last age stays
  oldest.set(*created_at ? std::chrono::duration_cast<std::chrono::seconds>(now - **created_at).count() : 0);
}

// A pause longer than max_pause was set before the clock jumped back: it does not count.
bool notifier::is_paused(const queue& q) const {
  const auto left = q.paused_until - options_.clock();
  return left > 0ms && left <= options_.max_pause;
}

// Delivers the messages of one queue until it is empty. A message whose delivery an exception ends is due again when
// its lease ends.
task<> notifier::serve(queue& q) {
  while (!is_stopped_ && !is_paused(q) && !q.waiting.empty()) {
    auto next = std::move(q.waiting.front());
    q.waiting.pop_front();
    const auto id = next.message.id;
    // After the lease has ended another node may send the message, so a try must end before.
    const bool has_time = options_.clock() + options_.try_timeout + lease_margin <= next.until;
    try {
      if (has_time) co_await deliver(q, std::move(next.message));
    } catch (const std::exception& e) {
      log::error("bug: an exception ended a task", {{"what", e.what()}});
    }
    in_hand_.erase(id);
    if (q.has_more && room(q) > 0) wakes_.cancel();
  }
  --q.in_flight;
}

task<> notifier::deliver(queue& q, webhook w) {
  const auto& to = *q.target;
  const auto answer =
      co_await post_webhook(to, options_.user_agent, w.id, w.payload, options_.clock(), options_.try_timeout);
  const auto outcome = answer ? judge(*answer) : judge(answer.error());
  if (outcome.is_answered || !is_stopped_) co_await note_answer(q, outcome.is_answered);
  if (outcome.is_delivered) {
    auto noted = co_await ledger_.record_delivery(w.id);
    if (!noted) // the message is sent again: delivery is at least once
      log::warning("webhook delivered, but the ledger cannot record it",
                   {{"id", w.id}, {"why", describe(noted.error())}});
    else
      log::debug("webhook delivered", {{"id", w.id}, {"upload", w.upload_id}, {"type", w.type}});
  } else if (outcome.is_gone) {
    drop_waiting(q);
    log::warning("webhook endpoint answered 410 Gone: it is stopped",
                 {{"endpoint", to.at.server.origin()}, {"id", w.id}});
    dead_letters.add();
    auto noted = co_await ledger_.stop_endpoint(w.url, outcome.why);
    if (!noted)
      log::warning("webhook endpoint answered 410 Gone, but the ledger cannot record it",
                   {{"id", w.id}, {"why", describe(noted.error())}});
  } else if (outcome.is_answered || !is_stopped_) {
    co_await record_failure(q, std::move(w), outcome.why, outcome.min_pause);
  }
}

task<> notifier::note_answer(queue& q, bool is_answered) {
  const bool was_silent = is_silent(q);
  if (is_answered) {
    q.silences = 0;
    q.paused_until = {};
    if (was_silent) log::info("webhook endpoint answers again", {{"endpoint", q.target->at.server.origin()}});
    co_return;
  }
  if (is_paused(q)) co_return; // this try began before the pause
  ++q.silences;
  if (!is_silent(q)) co_return;
  pause(q);
  const auto before = options_.clock() - options_.max_silence;
  auto expired = co_await ledger_.expire_webhooks(q.target->url, before, "the endpoint gave no answer for too long");
  if (!expired || *expired == 0) co_return;
  dead_letters.add(*expired);
  log::error("webhooks became dead letters: their endpoint gives no answer",
             {{"endpoint", q.target->at.server.origin()}, {"count", *expired}});
}

// The messages in memory stay leased for a while, and are due again when their leases end.
void notifier::pause(queue& q) {
  const auto doublings = std::min<std::size_t>(q.silences - options_.max_in_flight, 20);
  const auto length = std::min(options_.first_pause * (std::int64_t{1} << doublings), options_.max_pause);
  if (doublings == 0)
    log::warning("webhook endpoint gives no answer: it is paused", {{"endpoint", q.target->at.server.origin()}});
  q.paused_until = options_.clock() + length;
  drop_waiting(q);
}

void notifier::drop_waiting(queue& q) {
  for (const auto& l : q.waiting) in_hand_.erase(l.message.id);
  q.waiting.clear();
}

task<> notifier::record_failure(queue& q, webhook w, std::string why, milliseconds min_pause) {
  const auto pause = webhook_pause(w.tries + 1, options_.random());
  std::optional<millis_clock> again;
  if (pause) again = options_.clock() + std::max(*pause, min_pause);
  const auto endpoint = q.target->at.server.origin();
  if (again)
    log::warning("webhook not delivered", {{"id", w.id},
                                           {"upload", w.upload_id},
                                           {"type", w.type},
                                           {"endpoint", endpoint},
                                           {"try", w.tries + 1},
                                           {"why", why},
                                           {"next_try", iso8601_millis(*again)}});
  else {
    dead_letters.add();
    log::error("webhook became a dead letter", {{"id", w.id},
                                                {"upload", w.upload_id},
                                                {"type", w.type},
                                                {"endpoint", endpoint},
                                                {"tries", w.tries + 1},
                                                {"why", why}});
  }
  auto noted = co_await ledger_.record_failed_delivery(w.id, why, again);
  if (!noted)
    log::warning("webhook not delivered, and the ledger cannot record it",
                 {{"id", w.id}, {"why", describe(noted.error())}});
}

// --- the test message --------------------------------------------------------------------------------------

task<result<http_response>> send_test_webhook(const webhook_target& to, std::string user_agent, millis_clock now) {
  const auto id = "msg_test_" + new_uuid_v7(now);
  json_writer w;
  w.begin_object();
  w.member("type", "postern.test");
  w.member("timestamp", iso8601_millis(now));
  w.key("data");
  w.begin_object();
  w.end_object();
  w.end_object();
  const auto payload = w.take();
  const auto timeout = notifier_options().try_timeout;
  co_return co_await post_webhook(to, user_agent, id, payload, now, timeout);
}

} // namespace postern
