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
constexpr auto largest_skew = 15min; // that S3 takes

metrics::counter requests("postern_store_requests_total", "Requests to S3", "outcome=\"ok\"");
metrics::counter refusals("postern_store_requests_total", "Requests to S3", "outcome=\"failed\"");
metrics::counter retries("postern_store_retries_total", "Requests to S3 that were sent again", "");
metrics::histogram request_seconds("postern_store_request_seconds", "How long requests to S3 took, tries included", "");

} // namespace

// --- one request and its tries ----------------------------------------------------------------------

// What one call has learnt so far.
struct s3_client::trying {
  unsigned failed = 0;
  bool moved = false, clock_set = false, renewed = false;
  bool temporary = false; // the keys are
  unsigned redirected = 0;
  std::optional<http_address> elsewhere; // where a 307 sent us, for this call only
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
task<aws_result<http_request>> s3_client::prepare(const call& c, trying& t) {
  auto keys = co_await credentials_.get();
  if (!keys) co_return no_answer(keys.error(), c.during());
  t.access_key = (*keys)->keys.access_key;
  t.temporary = !(*keys)->keys.session_token.empty();
  auto place = place_of(options_, region_of(c.bucket), c.bucket);
  if (!place) co_return no_answer(place.error(), c.during());
  if (t.elsewhere) place->at = *t.elsewhere;

  const sigv4::scope scope{amz_date(store_time()), place->region, "s3"};
  http_request r;
  r.to = place->at;
  r.method = c.method;
  r.target = place->path + uri_encode(c.key, true) + query_text(c.query);
  r.silence = options_.patience;
  r.cleans_up = c.operation == "AbortMultipartUpload";
  r.fields = c.headers;
  r.fields.emplace_back("x-amz-date", scope.date);
  r.fields.emplace_back("x-amz-content-sha256", c.payload_hash);
  if (!(*keys)->keys.session_token.empty()) r.fields.emplace_back("x-amz-security-token", (*keys)->keys.session_token);
  sigv4::request s;
  s.method = c.method;
  s.path = signed_path(*place, c.bucket, c.key);
  s.query = c.query;
  s.headers = r.fields;
  s.headers.emplace_back("host", r.to.authority());
  s.payload_hash = c.payload_hash;
  r.fields.emplace_back("Authorization", sigv4::authorization(s, (*keys)->keys, scope));
  co_return r;
}

namespace {

// Between 50 and 150 % of a pause that doubles; SlowDown asks for more.
task<> pause_before(unsigned failed, bool slow_down) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const auto base =
      std::min<std::chrono::milliseconds>(100ms * (1 << std::min(failed, 6u)) * (slow_down ? 4 : 1), 5000ms);
  timer t(co_await asio::this_coro::executor, base * (50 + static_cast<int>(random() % 101)) / 100);
  co_await t.async_wait(use_task);
}

// How far ahead of ours the server's clock is, by the Date of its answer.
std::optional<std::chrono::seconds> clock_ahead(const http_response& answer, seconds_clock now) {
  const auto date = parse_http_date(answer.field("date"));
  if (!date) return std::nullopt;
  return *date - now;
}

} // namespace

// Is there something to be changed or waited for, so that the same call may succeed? If so it is done.
task<bool> s3_client::mend(const aws_error& e, const http_response* answer, const call& c, trying& t) {
  if (answer && (e.status == 301 || e.status == 302 || e.status == 307 || e.status == 400 || e.status == 403)) {
    // AuthorizationHeaderMalformed and PermanentRedirect name the right region; a HEAD only has it as a header.
    if (!e.region.empty() && e.region != region_of(c.bucket) && !std::exchange(t.moved, true)) {
      learn_region(c.bucket, e.region);
      co_return true;
    }
    if (const auto location = answer->field("location"); !location.empty() && t.redirected++ < 3) {
      auto url = parse_web_url(location);
      const bool was_tls = options_.endpoint.empty() || options_.endpoint.starts_with("https:");
      if (url && (url->server.tls || !was_tls)) {
        t.elsewhere = url->server;
        co_return true;
      }
    }
  }
  // The answer to a HEAD has no body that could say what is wrong.
  const bool mute = c.method == "HEAD" && e.code.empty();
  const auto ahead = answer ? clock_ahead(*answer, clock_()) : std::nullopt;
  const bool skewed =
      e.code == "RequestTimeTooSkewed" ||
      (mute && e.status == 403 && ahead && std::chrono::abs(*ahead - std::chrono::seconds(skew_)) > largest_skew);
  if (ahead && skewed && !std::exchange(t.clock_set, true)) {
    log::warning("this machine's clock is off; the store's is used", {{"seconds", -ahead->count()}});
    skew_.store(ahead->count(), std::memory_order_relaxed);
    co_return true;
  }
  const bool ended = e.code == "ExpiredToken" || e.code == "TokenRefreshRequired" || e.code == "InvalidToken" ||
                     (mute && e.status == 400 && t.temporary);
  if (ended && !std::exchange(t.renewed, true)) {
    auto fresh = co_await credentials_.renew(t.access_key);
    co_return fresh.has_value();
  }
  if (!is_passing(e) || ++t.failed >= options_.tries) co_return false;
  retries.add();
  co_await pause_before(t.failed - 1, e.code == "SlowDown" || e.status == 503);
  co_return true;
}

task<aws_result<http_response>> s3_client::perform(call c) {
  const auto since = std::chrono::steady_clock::now();
  for (trying t;;) {
    auto request = co_await prepare(c, t);
    if (!request) co_return request.error();
    auto answer = co_await http_.send(*request, c.body, c.max);
    std::optional<aws_error> e;
    if (!answer)
      e = no_answer(answer.error(), c.during());
    else if (answer->status >= 300)
      e = read_aws_error(*answer, c.during());
    // S3 may begin with 200 and blanks while it still works, and then fail.
    else if (c.method == "POST" && answer->body.find("<Error>") != std::string::npos)
      e = read_aws_error(*answer, c.during());
    if (!e) {
      requests.add();
      request_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count());
      co_return std::move(*answer);
    }
    log::debug("store request failed", {{"why", to_failure(*e).on}, {"try", t.failed + 1}});
    const bool again = co_await mend(*e, answer ? &*answer : nullptr, c, t);
    if (!again) {
      refusals.add();
      co_return std::move(*e);
    }
  }
}

// --- a streamed part --------------------------------------------------------------------------------

task<aws_result<std::unique_ptr<s3_part_upload>>> s3_client::begin_part(const s3_multipart& to, int number,
                                                                        std::uint64_t size) {
  call c{"UploadPart",
         "PUT",
         to.name.bucket,
         to.name.key,
         {{"partNumber", std::to_string(number)}, {"uploadId", to.upload_id}}};
  auto length = size;
  if (to.checksums) {
    length = aws_chunked_length(size);
    c.payload_hash = trailer_payload;
    c.headers.emplace_back("Content-Encoding", "aws-chunked");
    c.headers.emplace_back("x-amz-decoded-content-length", std::to_string(size));
    c.headers.emplace_back("x-amz-trailer", aws_trailer);
  }
  for (trying t;;) {
    auto request = co_await prepare(c, t);
    if (!request) co_return request.error();
    auto begun = co_await http_.upload(*request, length);
    std::optional<http_response> answer;
    std::optional<aws_error> e;
    if (!begun) {
      e = no_answer(begun.error(), c.during());
    } else if ((*begun)->welcome()) {
      s3_part part{number, {}, size, std::nullopt};
      co_return std::make_unique<s3_part_upload>(std::move(*begun), std::move(part), to.checksums, c.during());
    } else {
      auto said = co_await (*begun)->finish(false);
      if (said) answer = std::move(*said);
      e = answer ? read_aws_error(*answer, c.during()) : no_answer(said.error(), c.during());
    }
    const bool again = co_await mend(*e, answer ? &*answer : nullptr, c, t);
    if (!again) co_return std::move(*e);
  }
}

} // namespace postern
