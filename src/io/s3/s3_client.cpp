#include "s3_call.hpp"
#include <postern/base/dates.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>

namespace postern {

namespace {

std::string label_of(const s3_options& o) { return "store=\"" + o.name + "\""; }

} // namespace

s3_client::s3_client(s3_options options, http_client& http, credential_cache& credentials, store_clock& clock)
    : options_(std::move(options)), http_(http), credentials_(credentials), clock_(clock),
      succeeded_("postern_store_requests_total", "Requests to S3", label_of(options_) + ",outcome=\"ok\""),
      failed_("postern_store_requests_total", "Requests to S3", label_of(options_) + ",outcome=\"failed\""),
      seconds_("postern_store_request_seconds", "How long requests to S3 took, tries included", label_of(options_)) {}

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
  auto held = co_await credentials_.get(a.deadline);
  if (!held) co_return error_without_answer(held.error(), c.to_text());
  const auto& keys = (*held)->keys;
  a.access_key = keys.access_key;
  a.has_temporary_keys = !keys.session_token.empty();
  auto place = locate_bucket(options_, region_of(c.bucket), c.bucket);
  if (!place) co_return error_without_answer(place.error(), c.to_text());
  if (a.redirected_to) place->at = *a.redirected_to;
  a.region = place->region;

  const sigv4::scope scope{amz_date(store_time()), place->region, "s3"};
  http_request r;
  r.to = place->at;
  r.method = c.method;
  r.target = place->path + uri_encode(c.key, true) + to_query_string(c.query);
  r.idle_timeout = options_.timeout;
  r.deadline = a.deadline;
  if (c.waits_for_work) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(a.deadline - std::chrono::steady_clock::now());
    r.idle_timeout = r.header_timeout = std::max(left, r.idle_timeout);
  }
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

// --- one request, sent until it succeeds or no retry can help ------------------------------------------

namespace {

// The error in the outcome of a request, if it has one.
std::optional<aws_error> error_in(const result<http_response>& answer, bool can_fail_late,
                                  const std::string& operation) {
  if (!answer) return error_without_answer(answer.error(), operation);
  if (answer->status >= 300) return read_aws_error(*answer, operation);
  if (can_fail_late &&
      (answer->body.find("<Error>") != std::string::npos || answer->body.find("<Error ") != std::string::npos))
    return read_aws_error(*answer, operation);
  return std::nullopt;
}

} // namespace

task<aws_result<http_response>> s3_client::perform(call c) {
  const auto since = std::chrono::steady_clock::now();
  for (attempts a(c.by.value_or(default_deadline()));;) {
    auto request = co_await sign(c, a);
    if (!request) co_return request.error();
    auto answer = co_await http_.send(*request, c.body, c.max);
    auto error = error_in(answer, c.can_fail_late || c.method == "POST", c.to_text());
    if (!error) {
      succeeded_.add();
      seconds_.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count());
      co_return std::move(*answer);
    }
    log::debug("store request failed", {{"why", to_failure(*error).on}, {"try", a.failed + 1}});
    const bool again = co_await should_retry(*error, answer ? &*answer : nullptr, c, a);
    if (!again) {
      failed_.add();
      report(*error);
      co_return std::move(*error);
    }
    if (c.may_be_done_twice && may_be_carried_out(*error)) *c.may_be_done_twice = true;
  }
}

// --- a streamed body --------------------------------------------------------------------------------

// Retries until the store wants the first byte.
task<aws_result<std::unique_ptr<s3_part_upload>>> s3_client::begin_streamed(call c, s3_part part, bool has_checksum) {
  if (has_checksum) c.set_trailer(part.size);
  const auto length = has_checksum ? aws_chunked_length(part.size) : part.size;
  for (attempts a(default_deadline());;) {
    auto request = co_await sign(c, a);
    if (!request) co_return request.error();
    auto begun = co_await http_.upload(*request, length);
    std::optional<http_response> answer;
    std::optional<aws_error> error;
    if (!begun) {
      error = error_without_answer(begun.error(), c.to_text());
    } else if ((*begun)->accepts_body()) {
      co_return std::make_unique<s3_part_upload>(std::move(*begun), std::move(part), has_checksum, c.to_text());
    } else {
      auto early = co_await (*begun)->finish(false, a.deadline);
      if (early) answer = std::move(*early);
      error = answer ? read_aws_error(*answer, c.to_text()) : error_without_answer(early.error(), c.to_text());
    }
    const bool again = co_await should_retry(*error, answer ? &*answer : nullptr, c, a);
    if (!again) {
      report(*error);
      co_return std::move(*error);
    }
  }
}

} // namespace postern
