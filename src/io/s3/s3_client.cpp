#include "s3_call.hpp"
#include <postern/base/dates.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/core/http/url.hpp>

#include <algorithm>
#include <random>

namespace postern {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view trailer_payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
constexpr auto max_skew = 15min; // S3 accepts no larger difference between the clocks
constexpr unsigned max_redirects = 3;

metrics::counter requests("postern_store_requests_total", "Requests to S3", "outcome=\"ok\"");
metrics::counter failures("postern_store_requests_total", "Requests to S3", "outcome=\"failed\"");
metrics::counter retries("postern_store_retries_total", "Requests to S3 that were sent again", "");
metrics::histogram request_seconds("postern_store_request_seconds", "How long requests to S3 took, tries included", "");

} // namespace

// What the attempts of one call have learnt so far.
struct s3_client::attempts {
  unsigned failed = 0, redirected = 0;
  bool has_changed_region = false, has_set_clock = false, has_renewed = false; // each happens once
  bool has_temporary_keys = false;
  std::optional<http_address> redirected_to; // for this call only
  std::string access_key;
};

s3_client::s3_client(s3_options options, http_client& http, credential_cache& credentials, utc_clock clock)
    : options_(std::move(options)), http_(http), credentials_(credentials), clock_(std::move(clock)) {}

std::string s3_client::region_of(const std::string& bucket) const {
  std::lock_guard lock(mutex_);
  const auto found = regions_.find(bucket);
  return found == regions_.end() ? options_.region : found->second;
}

void s3_client::learn_region(const std::string& bucket, const std::string& region) {
  log::warning("bucket is in another region",
               {{"bucket", bucket}, {"region", quote(region)}, {"configured", options_.region}});
  std::lock_guard lock(mutex_);
  regions_[bucket] = region;
}

// PUT /key?partNumber=1&uploadId=… HTTP/1.1
// Host: bucket.s3.eu-west-1.amazonaws.com
// x-amz-date: …
// x-amz-content-sha256: UNSIGNED-PAYLOAD
// Authorization: AWS4-HMAC-SHA256 …
task<aws_result<http_request>> s3_client::sign(const call& c, attempts& a) {
  auto held = co_await credentials_.get();
  if (!held) co_return error_without_answer(held.error(), c.to_text());
  const auto& keys = (*held)->keys;
  a.access_key = keys.access_key;
  a.has_temporary_keys = !keys.session_token.empty();
  auto place = locate_bucket(options_, region_of(c.bucket), c.bucket);
  if (!place) co_return error_without_answer(place.error(), c.to_text());
  if (a.redirected_to) place->at = *a.redirected_to;

  const sigv4::scope scope{amz_date(store_time()), place->region, "s3"};
  http_request r;
  r.to = place->at;
  r.method = c.method;
  r.target = place->path + uri_encode(c.key, true) + to_query_string(c.query);
  r.idle_timeout = options_.timeout;
  r.is_cleanup = c.operation == "AbortMultipartUpload";
  r.fields = c.headers;
  r.fields.emplace_back("x-amz-date", scope.date);
  r.fields.emplace_back("x-amz-content-sha256", c.payload_hash);
  if (a.has_temporary_keys) r.fields.emplace_back("x-amz-security-token", keys.session_token);
  sigv4::request s;
  s.method = c.method;
  s.path = signed_path(*place, c.bucket, c.key);
  s.query = c.query;
  s.headers = r.fields;
  s.headers.emplace_back("host", r.to.authority());
  s.payload_hash = c.payload_hash;
  r.fields.emplace_back("Authorization", sigv4::authorization(s, keys, scope));
  co_return r;
}

// --- retries ----------------------------------------------------------------------------------------

namespace {

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

namespace {

// The error in the outcome of a request, if it has one.
std::optional<aws_error> error_in(const result<http_response>& answer, const std::string& method,
                                  const std::string& operation) {
  if (!answer) return error_without_answer(answer.error(), operation);
  if (answer->status >= 300) return read_aws_error(*answer, operation);
  // S3 can send 200 and blanks while it still works on a POST, and then an error.
  if (method == "POST" && answer->body.find("<Error>") != std::string::npos) return read_aws_error(*answer, operation);
  return std::nullopt;
}

} // namespace

task<aws_result<http_response>> s3_client::perform(call c) {
  const auto since = std::chrono::steady_clock::now();
  for (attempts a;;) {
    auto request = co_await sign(c, a);
    if (!request) co_return request.error();
    auto answer = co_await http_.send(*request, c.body, c.max);
    auto error = error_in(answer, c.method, c.to_text());
    if (!error) {
      requests.add();
      request_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count());
      co_return std::move(*answer);
    }
    log::debug("store request failed", {{"why", to_failure(*error).on}, {"try", a.failed + 1}});
    const bool again = co_await should_retry(*error, answer ? &*answer : nullptr, c, a);
    if (!again) {
      failures.add();
      co_return std::move(*error);
    }
  }
}

// --- a streamed part --------------------------------------------------------------------------------

task<aws_result<std::unique_ptr<s3_part_upload>>> s3_client::begin_part(const s3_multipart_upload& upload, int number,
                                                                        std::uint64_t size) {
  auto c = call::for_part(upload, number);
  auto length = size;
  if (upload.has_checksums) {
    length = aws_chunked_length(size);
    c.payload_hash = trailer_payload;
    c.headers.emplace_back("Content-Encoding", "aws-chunked");
    c.headers.emplace_back("x-amz-decoded-content-length", std::to_string(size));
    c.headers.emplace_back("x-amz-trailer", aws_checksum_trailer);
  }
  for (attempts a;;) {
    auto request = co_await sign(c, a);
    if (!request) co_return request.error();
    auto begun = co_await http_.upload(*request, length);
    std::optional<http_response> answer;
    std::optional<aws_error> error;
    if (!begun) {
      error = error_without_answer(begun.error(), c.to_text());
    } else if ((*begun)->accepts_body()) {
      s3_part part{number, {}, size, std::nullopt};
      co_return std::make_unique<s3_part_upload>(std::move(*begun), std::move(part), upload.has_checksums, c.to_text());
    } else {
      auto early = co_await (*begun)->finish(false);
      if (early) answer = std::move(*early);
      error = answer ? read_aws_error(*answer, c.to_text()) : error_without_answer(early.error(), c.to_text());
    }
    const bool again = co_await should_retry(*error, answer ? &*answer : nullptr, c, a);
    if (!again) co_return std::move(*error);
  }
}

} // namespace postern
