#include <postern/base/digest.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/io/s3_client.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <charconv>
#include <pugixml.hpp>
#include <random>

namespace postern {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view unsigned_payload = "UNSIGNED-PAYLOAD",
                           trailer_payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
constexpr auto largest_skew = 15min;         // that S3 takes
constexpr std::size_t most_answer = 4 << 20; // 10 000 parts are listed in some 3 MB

metrics::counter requests("postern_store_requests_total", "Requests to S3", "outcome=\"ok\"");
metrics::counter refusals("postern_store_requests_total", "Requests to S3", "outcome=\"failed\"");
metrics::counter retries("postern_store_retries_total", "Requests to S3 that were sent again", "");
metrics::histogram request_seconds("postern_store_request_seconds", "How long requests to S3 took, tries included", "");

} // namespace

// --- one request and its tries ----------------------------------------------------------------------

struct s3_client::call {
  call(const char* o, const char* m, std::string b, std::string k, std::vector<sigv4::name_value> q = {})
      : operation(o), method(m), bucket(std::move(b)), key(std::move(k)), query(std::move(q)) {}
  std::string operation; // S3's name of it
  std::string method;
  std::string bucket, key;
  std::vector<sigv4::name_value> query, headers;
  std::string_view body;
  std::string payload_hash{unsigned_payload};
  std::size_t most = most_answer; // bytes of the answer

  // A document, whose hash is signed.
  void carry(std::string_view document) {
    body = document;
    payload_hash = sha256_hex(document);
    headers.emplace_back("Content-Type", "application/xml");
  }

  std::string during() const { return operation + " " + bucket + (key.empty() ? "" : "/" + quote(key)); }
};

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
task<s3_result<http_request>> s3_client::prepare(const call& c, trying& t) {
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
  s.path = (place->path.size() > 1 ? "/" + c.bucket + "/" : "/") + c.key;
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
task<bool> s3_client::mend(const s3_error& e, const http_response* answer, const call& c, trying& t) {
  if (answer && (e.status == 301 || e.status == 302 || e.status == 307 || e.status == 400 || e.status == 403)) {
    // AuthorizationHeaderMalformed and PermanentRedirect name the right region; a HEAD only has it as a header.
    if (!e.region.empty() && e.region != region_of(c.bucket) && !std::exchange(t.moved, true)) {
      learn_region(c.bucket, e.region);
      co_return true;
    }
    if (const auto location = answer->field("location"); !location.empty() && t.redirected++ < 3) {
      auto url = parse_http_url(location);
      const bool was_tls = options_.endpoint.empty() || options_.endpoint.starts_with("https:");
      if (url && (url->at.tls || !was_tls)) {
        t.elsewhere = url->at;
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

task<s3_result<http_response>> s3_client::perform(call c) {
  const auto since = std::chrono::steady_clock::now();
  for (trying t;;) {
    auto request = co_await prepare(c, t);
    if (!request) co_return request.error();
    auto answer = co_await http_.send(*request, c.body, c.most);
    std::optional<s3_error> e;
    if (!answer)
      e = no_answer(answer.error(), c.during());
    else if (answer->status >= 300)
      e = read_s3_error(*answer, c.during());
    // S3 may begin with 200 and blanks while it still works, and then fail.
    else if (c.method == "POST" && answer->body.find("<Error>") != std::string::npos)
      e = read_s3_error(*answer, c.during());
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

// --- objects ----------------------------------------------------------------------------------------

task<s3_result<s3_finished>> s3_client::put_object(object_name name, object_meta meta, std::string_view bytes,
                                                   std::uint32_t crc32c) {
  call c{"PutObject", "PUT", std::move(name.bucket), std::move(name.key)};
  c.body = bytes;
  auto headers = object_headers(meta);
  if (!headers) {
    auto e = no_answer(headers.error(), c.during());
    e.sorted = headers.error().code;
    co_return e;
  }
  c.headers = std::move(*headers);
  const auto sum = crc32c_base64(crc32c);
  c.headers.emplace_back("x-amz-checksum-crc32c", sum);
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  const auto etag = unquoted(answer->field("etag"));
  const auto said = answer->field("x-amz-checksum-crc32c");
  if (!said.empty() && said != sum) {
    auto e = odd_answer(*answer, during, "the store has another checksum");
    e.sorted = errc::bad_digest;
    co_return e;
  }
  co_return s3_finished{etag, !said.empty()};
}

task<s3_result<stored_object>> s3_client::head_object(object_name name) {
  call c{"HeadObject", "HEAD", std::move(name.bucket), std::move(name.key)};
  c.headers.emplace_back("x-amz-checksum-mode", "ENABLED");
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  stored_object out;
  const auto length = answer->field("content-length");
  if (std::from_chars(length.data(), length.data() + length.size(), out.size).ec != std::errc{})
    co_return odd_answer(*answer, during, "an answer without a Content-Length");
  out.etag = unquoted(answer->field("etag"));
  // That of a multipart upload whose parts were summed one by one is none of the object's.
  if (answer->field("x-amz-checksum-type") != "COMPOSITE")
    out.crc32c = crc32c_of(answer->field("x-amz-checksum-crc32c"));
  constexpr std::string_view prefix = "x-amz-meta-";
  for (const auto& [field, value] : answer->fields) {
    if (field.starts_with(prefix))
      out.meta.user.emplace_back(field.substr(prefix.size()), plain_metadata(value));
    else if (field == "content-type" || field == "cache-control" || field == "content-disposition" ||
             field == "content-encoding" || field == "expires")
      out.meta.headers.emplace_back(field, value);
  }
  co_return out;
}

task<s3_result<std::string>> s3_client::get_object(object_name name, std::size_t most) {
  call c{"GetObject", "GET", std::move(name.bucket), std::move(name.key)};
  c.headers.emplace_back("Range", "bytes=0-" + std::to_string(most)); // one byte more than is taken
  c.most = std::max(most_answer, most + 1);
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().code == "InvalidRange") co_return std::string{}; // an empty object has no first byte
  if (!answer) co_return answer.error();
  if (answer->body.size() <= most) co_return std::move(answer->body);
  auto e = odd_answer(*answer, during, "an object larger than " + std::to_string(most) + " bytes");
  e.sorted = errc::payload_too_large;
  co_return e;
}

task<s3_result<void>> s3_client::delete_object(object_name name) {
  call c{"DeleteObject", "DELETE", std::move(name.bucket), std::move(name.key)};
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().sorted != errc::object_absent) co_return answer.error();
  co_return s3_result<void>{};
}

// --- multipart uploads ------------------------------------------------------------------------------

namespace {

std::string upload_id_in(const http_response& answer) {
  pugi::xml_document document;
  (void)document.load_buffer(answer.body.data(), answer.body.size());
  return document.document_element().child_value("UploadId");
}

std::string part_list(const std::vector<s3_part>& parts) {
  std::string xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (const auto& p : parts) {
    xml += "<Part><PartNumber>" + std::to_string(p.number) + "</PartNumber><ETag>" + xml_escape(quoted_etag(p.etag)) +
           "</ETag>";
    if (p.crc32c) xml += "<ChecksumCRC32C>" + crc32c_base64(*p.crc32c) + "</ChecksumCRC32C>";
    xml += "</Part>";
  }
  return xml + "</CompleteMultipartUpload>";
}

} // namespace

task<s3_result<s3_multipart>> s3_client::create_multipart(object_name name, object_meta meta) {
  call c{"CreateMultipartUpload", "POST", name.bucket, name.key, {{"uploads", ""}}};
  auto headers = object_headers(meta);
  if (!headers) {
    auto e = no_answer(headers.error(), c.during());
    e.sorted = headers.error().code;
    co_return e;
  }
  c.headers = std::move(*headers);
  c.headers.emplace_back("x-amz-checksum-algorithm", "CRC32C");
  c.headers.emplace_back("x-amz-checksum-type", "FULL_OBJECT");
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  s3_multipart out{std::move(name), upload_id_in(*answer), answer->field("x-amz-checksum-type") == "FULL_OBJECT"};
  if (out.upload_id.empty()) co_return odd_answer(*answer, during, "an answer without an UploadId");
  co_return out;
}

task<s3_result<s3_part>> s3_client::upload_part(const s3_multipart& to, int number, std::string_view bytes) {
  call c{"UploadPart",
         "PUT",
         to.name.bucket,
         to.name.key,
         {{"partNumber", std::to_string(number)}, {"uploadId", to.upload_id}}};
  c.body = bytes;
  s3_part part{number, {}, bytes.size(), std::nullopt};
  if (to.checksums) {
    part.crc32c = crc32c(0, {bytes.data(), bytes.size()});
    c.headers.emplace_back("x-amz-checksum-crc32c", crc32c_base64(*part.crc32c));
  }
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  part.etag = unquoted(answer->field("etag"));
  if (part.etag.empty()) co_return odd_answer(*answer, during, "an answer without an ETag");
  co_return part;
}

task<s3_result<std::unique_ptr<s3_part_upload>>> s3_client::begin_part(const s3_multipart& to, int number,
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
    std::optional<s3_error> e;
    if (!begun) {
      e = no_answer(begun.error(), c.during());
    } else if ((*begun)->welcome()) {
      s3_part part{number, {}, size, std::nullopt};
      co_return std::make_unique<s3_part_upload>(std::move(*begun), std::move(part), to.checksums, c.during());
    } else {
      auto said = co_await (*begun)->finish(false);
      if (said) answer = std::move(*said);
      e = answer ? read_s3_error(*answer, c.during()) : no_answer(said.error(), c.during());
    }
    const bool again = co_await mend(*e, answer ? &*answer : nullptr, c, t);
    if (!again) co_return std::move(*e);
  }
}

task<s3_result<s3_finished>> s3_client::complete_multipart(const s3_multipart& what, const std::vector<s3_part>& parts,
                                                           std::uint32_t crc32c) {
  const auto document = part_list(parts);
  call c{"CompleteMultipartUpload", "POST", what.name.bucket, what.name.key, {{"uploadId", what.upload_id}}};
  c.carry(document);
  const auto sum = crc32c_base64(crc32c);
  if (what.checksums) {
    c.headers.emplace_back("x-amz-checksum-crc32c", sum);
    c.headers.emplace_back("x-amz-checksum-type", "FULL_OBJECT");
  }
  const auto during = c.during();
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  pugi::xml_document said;
  (void)said.load_buffer(answer->body.data(), answer->body.size());
  const auto top = said.document_element();
  if (std::string_view(top.name()) != "CompleteMultipartUploadResult")
    co_return odd_answer(*answer, during, "an answer that is not its result");
  const auto etag = unquoted(top.child_value("ETag"));
  const std::string_view confirmed = top.child_value("ChecksumCRC32C");
  if (!confirmed.empty() && what.checksums && confirmed != sum) {
    auto e = odd_answer(*answer, during, "the store has another checksum");
    e.sorted = errc::bad_digest;
    co_return e;
  }
  co_return s3_finished{etag, what.checksums && !confirmed.empty()};
}

task<s3_result<void>> s3_client::abort_multipart(const s3_multipart& what) {
  call c{"AbortMultipartUpload", "DELETE", what.name.bucket, what.name.key, {{"uploadId", what.upload_id}}};
  auto answer = co_await perform(std::move(c));
  if (!answer && answer.error().sorted != errc::object_absent) co_return answer.error();
  co_return s3_result<void>{};
}

task<s3_result<std::vector<s3_part>>> s3_client::list_parts(const s3_multipart& what) {
  std::vector<s3_part> parts;
  for (std::string marker = "0";;) {
    call c{"ListParts",
           "GET",
           what.name.bucket,
           what.name.key,
           {{"uploadId", what.upload_id}, {"part-number-marker", marker}}};
    const auto during = c.during();
    auto answer = co_await perform(std::move(c));
    if (!answer) co_return answer.error();
    pugi::xml_document said;
    (void)said.load_buffer(answer->body.data(), answer->body.size());
    const auto top = said.document_element();
    if (std::string_view(top.name()) != "ListPartsResult")
      co_return odd_answer(*answer, during, "an answer that is not its result");
    for (const auto p : top.children("Part"))
      parts.push_back({p.child("PartNumber").text().as_int(), unquoted(p.child_value("ETag")),
                       p.child("Size").text().as_ullong(), crc32c_of(p.child_value("ChecksumCRC32C"))});
    if (std::string_view(top.child_value("IsTruncated")) != "true") break;
    // Half a list would be taken for the whole.
    const std::string next = top.child_value("NextPartNumberMarker");
    if (next.empty() || next == marker) co_return odd_answer(*answer, during, "a list that does not go on");
    marker = next;
  }
  co_return parts;
}

// --- for others to send -----------------------------------------------------------------------------

// PUT /key?partNumber=1&uploadId=…&X-Amz-Algorithm=AWS4-HMAC-SHA256&…&X-Amz-Signature=… HTTP/1.1
// Host: bucket.s3.eu-west-1.amazonaws.com
task<s3_result<presigned_url>> s3_client::presign(call c, std::chrono::seconds lasts) {
  auto keys = co_await credentials_.get();
  if (!keys) co_return no_answer(keys.error(), c.during());
  auto seen = options_;
  if (!seen.public_endpoint.empty()) seen.endpoint = seen.public_endpoint;
  auto place = place_of(seen, region_of(c.bucket), c.bucket);
  if (!place) co_return no_answer(place.error(), c.during());
  const auto now = store_time();
  lasts = std::min<std::chrono::seconds>(lasts, std::chrono::days(7)); // S3 takes no more
  if ((*keys)->expires) lasts = std::min(lasts, *(*keys)->expires - now);
  if (lasts.count() < 1) co_return no_answer({errc::unavailable, "the credentials end this very moment"}, c.during());
  sigv4::request s;
  s.method = c.method;
  s.path = (place->path.size() > 1 ? "/" + c.bucket + "/" : "/") + c.key;
  s.query = std::move(c.query);
  s.headers = {{"host", place->at.authority()}};
  s.payload_hash = unsigned_payload;
  const sigv4::scope scope{amz_date(now), place->region, "s3"};
  const auto query = sigv4::presigned_query(s, (*keys)->keys, scope, static_cast<unsigned>(lasts.count()));
  co_return presigned_url{place->at.url() + uri_encode(s.path, true) + "?" + query, now + lasts};
}

task<s3_result<presigned_url>> s3_client::presign_put(object_name name, std::chrono::seconds lasts) {
  return presign({"PutObject", "PUT", std::move(name.bucket), std::move(name.key)}, lasts);
}

task<s3_result<presigned_url>> s3_client::presign_part(const s3_multipart& to, int number, std::chrono::seconds lasts) {
  return presign({"UploadPart",
                  "PUT",
                  to.name.bucket,
                  to.name.key,
                  {{"partNumber", std::to_string(number)}, {"uploadId", to.upload_id}}},
                 lasts);
}

// --- buckets ----------------------------------------------------------------------------------------

task<s3_result<http_response>> s3_client::head_bucket(std::string bucket) {
  return perform(call("HeadBucket", "HEAD", std::move(bucket), {}));
}

task<s3_result<std::string>> s3_client::get_bucket_location(std::string bucket) {
  call c{"GetBucketLocation", "GET", std::move(bucket), {}, {{"location", ""}}};
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  pugi::xml_document said;
  (void)said.load_buffer(answer->body.data(), answer->body.size());
  const std::string region = said.document_element().text().get();
  co_return region.empty() ? "us-east-1"
  : region == "EU"         ? "eu-west-1"
                           : region; // the first region, and the second one's old name
}

task<s3_result<std::string>> s3_client::get_bucket_cors(std::string bucket) {
  call c{"GetBucketCors", "GET", std::move(bucket), {}, {{"cors", ""}}};
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return std::move(answer->body);
}

task<s3_result<void>> s3_client::put_bucket_cors(std::string bucket, std::string document) {
  call c{"PutBucketCors", "PUT", std::move(bucket), {}, {{"cors", ""}}};
  c.carry(document);
  const auto sum = md5(document);
  c.headers.emplace_back("Content-MD5", to_base64({reinterpret_cast<const char*>(sum.data()), sum.size()}));
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return s3_result<void>{};
}

} // namespace postern
