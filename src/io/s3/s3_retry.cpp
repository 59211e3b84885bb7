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

// Waits 50 to 150 % of a time that doubles with each failure. It is longer when S3 asks for fewer requests.
task<> wait_before_retry(unsigned failed, bool slow_down) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto base =
      std::min<std::chrono::milliseconds>(100ms * (1 << std::min(failed, 6u)) * (slow_down ? 4 : 1), 5000ms);
  timer t(co_await asio::this_coro::executor, base * (50 + static_cast<int>(random() % 101)) / 100);
  co_await t.async_wait(use_task);
}

// The answer to a HEAD has no body, so its error can have no code.
bool is_without_code(const aws_error& e, const std::string& method) { return method == "HEAD" && e.code.empty(); }

} // namespace

// Another region or host that the answer names. True: it was learnt, so the call can be sent again.
bool s3_client::learn_location(const aws_error& e, const http_response& answer, const call& c, attempts& a) {
  if (e.status != 301 && e.status != 302 && e.status != 307 && e.status != 400 && e.status != 403) return false;
  // AuthorizationHeaderMalformed and PermanentRedirect name the region in the body, an answer to HEAD in a header.
  if (!e.region.empty() && e.region != region_of(c.bucket) && !std::exchange(a.has_changed_region, true)) {
    learn_region(c.bucket, e.region);
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
bool s3_client::learn_clock(const aws_error& e, const http_response& answer, const call& c, attempts& a) {
  const auto date = parse_http_date(answer.field("date"));
  if (!date) return false;
  const std::chrono::seconds skew = *date - clock_();
  const bool is_beyond_limit = std::chrono::abs(skew - std::chrono::seconds(skew_)) > max_skew;
  const bool is_refused =
      e.code == "RequestTimeTooSkewed" || (is_without_code(e, c.method) && e.status == 403 && is_beyond_limit);
  if (!is_refused || std::exchange(a.has_set_clock, true)) return false;
  // From here on requests to S3 are signed with the time of the S3 server.
  log::warning("this machine's clock is wrong", {{"seconds_ahead", -skew.count()}});
  skew_.store(skew.count(), std::memory_order_relaxed);
  return true;
}

// Corrects what the error names, or waits. False: sending the call again would not help.
task<bool> s3_client::should_retry(const aws_error& e, const http_response* answer, const call& c, attempts& a) {
  if (answer && (learn_location(e, *answer, c, a) || learn_clock(e, *answer, c, a))) co_return true;
  const bool have_expired = e.code == "ExpiredToken" || e.code == "TokenRefreshRequired" || e.code == "InvalidToken" ||
                            (is_without_code(e, c.method) && e.status == 400 && a.has_temporary_keys);
  if (have_expired && !std::exchange(a.has_renewed, true)) {
    auto renewed = co_await credentials_.renew(a.access_key);
    co_return renewed.has_value();
  }
  if (!is_transient(e) || ++a.failed >= options_.max_tries) co_return false;
  retries.add();
  co_await wait_before_retry(a.failed - 1, e.code == "SlowDown" || e.status == 503);
  co_return true;
}

} // namespace postern
