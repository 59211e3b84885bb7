#include <postern/base/json.hpp>
#include <postern/base/metrics.hpp>
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
metrics::counter dead_letters("postern_webhook_dead_letters_total", "Webhooks that were given up", "");
metrics::gauge oldest_due("postern_webhook_oldest_due_seconds",
                          "For how long the oldest webhook that this node works on has been due", "");

constexpr auto spare = 5s; // between a try's end and the hold's

// What one try came to.
struct tried {
  bool answered = false, delivered = false, gone = false;
  std::string why;          // when not delivered
  milliseconds at_least{0}; // the receiver wants to be left alone for so long
};

// Text from outside, short, without the quotes where they are in the way.
std::string bare(std::string_view text, std::size_t max) {
  const auto quoted = quote(text, max);
  return quoted.substr(1, quoted.size() - 2);
}

milliseconds retry_after_of(const http_response& answer) {
  const auto text = answer.field("retry-after");
  std::uint32_t seconds = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, ec] = std::from_chars(text.data(), end, seconds);
  if (ec != std::errc{} || rest != end) return 0ms;
  return std::min<milliseconds>(std::chrono::seconds(seconds), 24h);
}

tried judge(const http_response& answer) {
  const auto said = "answered " + std::to_string(answer.status);
  if (answer.status >= 200 && answer.status < 300) {
    tries_delivered.add();
    return {true, true, false, {}};
  }
  if (answer.status == 410) {
    tries_gone.add();
    return {true, false, true, said};
  }
  tries_refused.add();
  if (answer.status >= 300 && answer.status < 400)
    return {true, false, false, said + " to " + quote(answer.field("location"), 120) + ": redirects are not followed"};
  return {true, false, false, answer.body.empty() ? said : said + ": " + quote(answer.body, 120),
          retry_after_of(answer)};
}

tried judge(const failure& f) {
  const bool late = f.code == errc::timed_out;
  (late ? tries_timed_out : tries_unreachable).add();
  return {false, false, false, bare(f.on, 240) + (late ? " (timed out)" : "")};
}

// POST /hooks HTTP/1.1
// Host: app.example.com
// content-type: application/json
// user-agent: Postern/1.0
// webhook-id: msg_…
// webhook-timestamp: 1795457700
// webhook-signature: v1,K5oZfz…= v1,…
http_request request_of(const webhook_target& to, const std::string& user_agent, std::string_view id,
                        std::string_view payload, millis_clock now, milliseconds patience) {
  const auto at = std::chrono::floor<std::chrono::seconds>(now);
  std::string signatures;
  for (const auto& key : to.keys)
    signatures.append(signatures.empty() ? "" : " ").append(webhook_signature(key, id, at, payload));
  http_request r;
  r.to = to.at.at;
  r.method = "POST";
  r.target = to.at.target;
  r.fields = {{"content-type", "application/json"},
              {"user-agent", user_agent},
              {"webhook-id", std::string(id)},
              {"webhook-timestamp", std::to_string(at.time_since_epoch().count())},
              {"webhook-signature", signatures}};
  r.dial = std::min<milliseconds>(5s, patience);
  r.silence = patience;
  r.cuts_answer = true;
  return r;
}

task<result<http_response>> send_once(const webhook_target& to, const std::string& user_agent, std::string_view id,
                                      std::string_view payload, millis_clock now, milliseconds patience) {
  const auto request = request_of(to, user_agent, id, payload, now, patience);
  auto sending = to.send(request, payload);
  auto what = "no answer within " + std::to_string(patience.count() / 1000) + " s";
  co_return co_await within(patience, std::move(sending), std::move(what));
}

} // namespace

notifier::notifier(notifier_options options, ledger& from, io_executor on)
    : options_(std::move(options)), ledger_(from), running_(on), wakes_(on) {
  for (const auto& e : options_.endpoints) lines_[e.url].to = &e;
}

void notifier::stop() {
  stopped_ = true;
  wakes_.cancel();
}

task<> notifier::drain(milliseconds max, std::function<void()> cut) {
  stop();
  const bool finished = co_await running_.wait(max);
  if (finished) co_return;
  log::warning("drain timed out, cutting webhooks", {{"endpoints", running_.size()}});
  cut();
  (void)co_await running_.wait(10s);
}

task<> notifier::run() {
  boost::system::error_code ec;
  while (!stopped_) {
    const bool at_once = co_await take();
    if (at_once || stopped_) continue;
    wakes_.expires_after(options_.poll);
    co_await wakes_.async_wait(asio::redirect_error(use_task, ec));
  }
}

bool notifier::has_room() const {
  return lines_.empty() || std::any_of(lines_.begin(), lines_.end(), [&](const auto& l) {
           return l.second.waiting.size() + options_.max <= options_.in_line;
         });
}

// Answers whether there is more to be had at once. What is for a full line is left to the ledger, held, so that the
// next look sees beyond it.
task<bool> notifier::take() {
  if (!has_room()) co_return false;
  const auto now = options_.clock();
  const auto until = now + options_.hold;
  auto due = co_await ledger_.due_webhooks(now, until, options_.max);
  if (!due) {
    log::warning("webhooks cannot be looked for", {{"why", describe(due.error())}});
    co_return false;
  }
  if (stopped_) co_return false;
  more_ = due->size() >= options_.max;
  for (auto& w : *due) {
    auto& l = lines_.at(w.url); // the ledger knows the same endpoints
    if (l.waiting.size() >= options_.in_line) continue;
    due_[w.id] = w.tries == 0 ? w.created_at : w.due_at; // a hold that ran out moved due_at
    l.waiting.push_back({std::move(w), until});
    if (l.running >= options_.at_once) continue;
    ++l.running;
    running_.start(serve(l));
  }
  measure_age(now);
  co_return more_&& has_room();
}

void notifier::measure_age(millis_clock now) {
  auto oldest = now;
  for (const auto& [id, since] : due_) oldest = std::min(oldest, since);
  oldest_due.set(std::chrono::duration_cast<std::chrono::seconds>(now - oldest).count());
}

// Takes from the line as long as there is something in it.
task<> notifier::serve(line& l) {
  while (!stopped_ && !l.waiting.empty()) {
    auto next = std::move(l.waiting.front());
    l.waiting.pop_front();
    const auto id = next.what.id;
    // What has waited here for too long may be sent by another node while we still try.
    if (options_.clock() + options_.patience + spare <= next.until) co_await deliver(l, std::move(next.what));
    due_.erase(id);
    if (more_ && has_room()) wakes_.cancel();
  }
  --l.running;
}

task<> notifier::deliver(line& l, webhook w) {
  const auto& to = *l.to;
  const auto answer = co_await send_once(to, options_.user_agent, w.id, w.payload, options_.clock(), options_.patience);
  const auto came = answer ? judge(*answer) : judge(answer.error());
  if (came.delivered) {
    auto noted = co_await ledger_.delivered(w.id);
    if (!noted) // It is sent again: at least once.
      log::warning("a delivered webhook cannot be noted", {{"id", w.id}, {"why", describe(noted.error())}});
    else
      log::debug("webhook delivered", {{"id", w.id}, {"upload", w.upload_id}, {"type", w.type}});
  } else if (came.gone) {
    for (const auto& h : l.waiting) due_.erase(h.what.id);
    l.waiting.clear();
    log::warning("a webhook's endpoint wants no more", {{"endpoint", to.at.at.url()}, {"id", w.id}});
    dead_letters.add();
    auto noted = co_await ledger_.stop_endpoint(w.url, came.why);
    if (!noted)
      log::warning("a webhook's endpoint cannot be stopped", {{"id", w.id}, {"why", describe(noted.error())}});
  } else if (came.answered || !stopped_) {
    co_await record_failure(l, std::move(w), came.why, came.at_least);
  }
}

task<> notifier::record_failure(line& l, webhook w, std::string why, milliseconds at_least) {
  const auto pause = webhook_pause(w.tries + 1, options_.chance());
  std::optional<millis_clock> again;
  if (pause) again = options_.clock() + std::max(*pause, at_least);
  const auto endpoint = l.to->at.at.url();
  if (again)
    log::warning("webhook not delivered", {{"id", w.id},
                                           {"upload", w.upload_id},
                                           {"type", w.type},
                                           {"endpoint", endpoint},
                                           {"try", w.tries + 1},
                                           {"why", why},
                                           {"again", iso8601_millis(*again)}});
  else {
    dead_letters.add();
    log::error("webhook given up", {{"id", w.id},
                                    {"upload", w.upload_id},
                                    {"type", w.type},
                                    {"endpoint", endpoint},
                                    {"tries", w.tries + 1},
                                    {"why", why}});
  }
  auto noted = co_await ledger_.undelivered(w.id, why, again);
  if (!noted) log::warning("a webhook's failure cannot be noted", {{"id", w.id}, {"why", describe(noted.error())}});
}

// --- a test -----------------------------------------------------------------------------------------

task<result<http_response>> send_test_webhook(const webhook_target& to, std::string user_agent, millis_clock now) {
  std::array<unsigned char, 10> random;
  random_bytes(random);
  const auto id = "msg_test_" + uuid_v7(now, random);
  json_writer w;
  w.begin_object();
  w.member("type", "postern.test");
  w.member("timestamp", iso8601_millis(now));
  w.key("data");
  w.begin_object();
  w.end_object();
  w.end_object();
  const auto payload = w.take();
  const auto patience = notifier_options().patience;
  co_return co_await send_once(to, user_agent, id, payload, now, patience);
}

} // namespace postern
