// Which failed requests s3_client sends again, and what it corrects before.
#include "s3_call.hpp"
#include <postern/base/dates.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/http/url.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace postern {

using namespace std::chrono_literals;

namespace {

constexpr auto max_skew = 15min; // S3 accepts no larger difference between the clocks
constexpr unsigned max_redirects = 3;

metrics::counter retries("postern_store_retries_total", "Requests to S3 that were sent again", "");

// 50 to 150 % of a time that doubles with each failure. It is longer when S3 asks for fewer requests.
std::chrono::milliseconds pause_before_retry(unsigned failed, bool slow_down) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto base =
      std::min<std::chrono::milliseconds>(100ms * (1 << std::min(failed, 6u)) * (slow_down ? 4 : 1), 5000ms);
  return base * (50 + static_cast<int>(random() % 101)) / 100;
}

// The answer to a HEAD has no body, so its error can have no code.
bool is_without_code(const aws_error& e, const std::string& method) { return method == "HEAD" && e.code.empty(); }

} // namespace

// Another region or host that the answer names. True: it was learnt, so the call can be sent again.
bool s3_client::learn_location(const aws_error& e, const http_response& answer, const call& c, attempts& a) {
  if (e.status != 301 && e.status != 302 && e.status != 307 && e.status != 400 && e.status != 403) return false;
  // AuthorizationHeaderMalformed and PermanentRedirect name the region in the body, an answer to HEAD in a header.
  // Another call may have learnt the region while this one was under way.
  if (!e.region.empty() && e.region != a.region && !std::exchange(a.has_changed_region, true)) {
    if (e.region != region_of(c.bucket)) learn_region(c.bucket, e.region);
    return true;
  }
  const auto location = answer.field("location");
  if (location.empty() || a.redirected++ >= max_redirects) return false;
  auto url = parse_web_url(location);
  const bool must_be_tls = options_.endpoint.empty() || options_.endpoint.starts_with("https:");
  if (!url || (must_be_tls && !url->server.tls)) return false;
  a.redirected_to = url->server;
  return true;
}

// The server's clock, when the answer says that ours is too far off. True: it was learnt.
bool s3_client::learn_clock(const aws_error& e, const call& c, attempts& a) {
  if (!e.date) return false;
  const bool is_beyond_limit = std::chrono::abs(*e.date - clock_.now()) > max_skew;
  const bool is_refused =
      e.code == "RequestTimeTooSkewed" || (is_without_code(e, c.method) && e.status == 403 && is_beyond_limit);
  if (!is_refused || std::exchange(a.has_set_clock, true)) return false;
  clock_.adopt(*e.date);
  return true;
}

// Corrects what the error names, or waits. False: sending the call again would not help, or its deadline has no room
// for another try.
task<bool> s3_client::should_retry(const aws_error& e, const http_response* answer, const call& c, attempts& a) {
  using std::chrono::steady_clock;
  if (steady_clock::now() >= a.deadline) co_return false;
  if (answer && (learn_location(e, *answer, c, a) || learn_clock(e, c, a))) co_return true;
  const bool have_expired = e.code == "ExpiredToken" || e.code == "TokenRefreshRequired" || e.code == "InvalidToken" ||
                            (is_without_code(e, c.method) && e.status == 400 && a.has_temporary_keys);
  if (have_expired && !std::exchange(a.has_renewed, true)) {
    auto renewed = co_await credentials_.renew(a.access_key, a.deadline);
    co_return renewed.has_value() && steady_clock::now() < a.deadline;
  }
  if (!is_transient(e) || ++a.failed >= options_.max_tries) co_return false;
  const auto pause = pause_before_retry(a.failed - 1, e.code == "SlowDown" || e.status == 503);
  if (steady_clock::now() + pause >= a.deadline) co_return false;
  retries.add();
  timer paused(co_await asio::this_coro::executor, pause);
  co_await paused.async_wait(use_task);
  co_return true;
}

} // namespace postern
