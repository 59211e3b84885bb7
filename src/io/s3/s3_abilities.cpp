#include "s3_call.hpp"
#include <postern/base/dates.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/base/random.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/io/s3/presign.hpp>
#include <postern/io/s3/s3_abilities.hpp>

#include <array>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// PUT /key HTTP/1.1
// If-None-Match: *
// Content-MD5: …
//
// The body is one byte, and the digest is that of none.
task<aws_result<void>> s3_client::put_with_wrong_digest(object_name name, operation_deadline by) {
  call c{"PutObject", "PUT", std::move(name.bucket), std::move(name.key)};
  c.by = by;
  c.body = ".";
  const auto sum = md5("");
  c.headers = {{"If-None-Match", "*"},
               {"Content-MD5", to_base64({reinterpret_cast<const char*>(sum.data()), sum.size()})}};
  auto answer = co_await perform(std::move(c));
  if (!answer) co_return answer.error();
  co_return aws_result<void>{};
}

namespace {

constexpr auto max_cleanup = 10s;

clock_point cleanup_end() { return steady_clock::now() + max_cleanup; }

object_name unused_name(std::string bucket, std::string prefix) {
  std::array<unsigned char, 10> random;
  random_bytes(random);
  return {std::move(bucket), std::move(prefix) + "postern-abilities-" + to_hex(random)};
}

bool is_denied(const aws_error& e) { return e.code == "AccessDenied"; }

// The store gave no answer, or one that says nothing about what it can do: it has a problem, or does not let us in.
bool says_nothing(const aws_error& e) {
  if (is_denied(e) || e.status == 501) return false;
  return e.status == 0 || e.status == 401 || e.status == 404 || (e.status >= 300 && e.status < 400) ||
         is_transient(e) || !remedy_of(e).empty() || e.code == "RequestTimeTooSkewed" || e.code == "ExpiredToken";
}

// --- multipart uploads and their checksums ---

task<aws_result<void>> ask_for_checksums(s3_client& s3, journal_entry entry, object_name name, clock_point by,
                                         store_abilities& found) {
  co_await entry.begin(name, 0);
  auto created = co_await s3.create_multipart(std::move(name), {}, true, by);
  if (!created) entry.end(may_be_carried_out(created.error()));
  if (!created && says_nothing(created.error())) co_return created.error();
  if (!created) co_return aws_result<void>{};
  co_await entry.name(created->upload_id);
  found.takes_presigned_parts = true;
  found.checks_checksums = created->sends_part_checksums();
  found.checks_whole_object = created->has_checksums;
  auto aborted = co_await s3.abort_multipart(*created, cleanup_end());
  entry.end(!aborted || created->may_have_twin);
  if (!aborted)
    log::warning("a multipart upload is left in the store", {{"bucket", created->name.bucket},
                                                             {"key", quote(created->name.key)},
                                                             {"upload_id", quote(created->upload_id)},
                                                             {"why", describe(to_failure(aborted.error()))}});
  co_return aws_result<void>{};
}

// --- PutObject and its condition ---

task<aws_result<void>> ask_for_condition(s3_client& s3, object_name name, clock_point by, store_abilities& found) {
  auto put = co_await s3.put_with_wrong_digest(name, by);
  if (put) { // the store compares no digest, so nothing is known of the condition
    found.takes_presigned_put = true;
    auto removed = co_await s3.delete_object(name, cleanup_end());
    if (!removed)
      log::warning("an object is left in the store",
                   {{"bucket", name.bucket}, {"key", quote(name.key)}, {"why", describe(to_failure(removed.error()))}});
    co_return aws_result<void>{};
  }
  const auto& e = put.error();
  if (says_nothing(e)) co_return e;
  found.takes_presigned_put = !is_denied(e);
  found.takes_if_none_match = e.code == "BadDigest" || e.code == "InvalidDigest";
  co_return aws_result<void>{};
}

// --- the preflight of a presigned PUT ---

// OPTIONS /key?X-Amz-SignedHeaders=content-length%3Bhost&… HTTP/1.1
// Origin: http://localhost
// Access-Control-Request-Method: PUT
//
// Any other answer than a wrong signature, and none, says nothing: the bucket may have no CORS rule yet.
task<> ask_for_preflight(s3_client& s3, http_client& http, object_name name, clock_point by, store_abilities& found) {
  found.preflights_signed_headers = true;
  if (!found.takes_presigned_put && !found.takes_presigned_parts) co_return;
  s3_presigner signs(s3);
  signed_body body;
  body.size = 1;
  auto made = co_await signs.presign_put(std::move(name), std::move(body), 60s);
  if (!made) co_return;
  auto url = parse_web_url(made->url);
  if (!url) co_return;
  http_request ask;
  ask.to = url->server;
  ask.method = "OPTIONS";
  ask.target = url->target;
  ask.idle_timeout = s3.options().timeout;
  ask.deadline = by;
  ask.fields = {{"Origin", "http://localhost"}, {"Access-Control-Request-Method", "PUT"}};
  auto answer = co_await http.send(ask);
  if (answer && answer->status == 403)
    found.preflights_signed_headers = read_aws_error(*answer, "OPTIONS").code != "SignatureDoesNotMatch";
}

// --- documents of the bucket ---

task<aws_result<void>> ask_for_cors(s3_client& s3, std::string bucket, clock_point by, store_abilities& found) {
  auto document = co_await s3.get_bucket_cors(std::move(bucket), by);
  if (!document && document.error().code != "NoSuchCORSConfiguration" && says_nothing(document.error()))
    co_return document.error();
  found.has_bucket_cors = document || (document.error().status != 501 && document.error().status != 405);
  co_return aws_result<void>{};
}

// --- POST Object ---

// A form that S3 accepts but for its file, which is one byte longer than the policy allows.
std::string refusable_form(const object_name& name, const sigv4::credentials& keys, const std::string& region,
                           seconds_clock now) {
  const sigv4::scope scope{amz_date(now), region, "s3"};
  std::vector<form_field> fields{{"key", name.key},
                                 {"x-amz-algorithm", "AWS4-HMAC-SHA256"},
                                 {"x-amz-credential", sigv4::credential(keys.access_key, scope)},
                                 {"x-amz-date", scope.date}};
  if (!keys.session_token.empty()) fields.push_back({"x-amz-security-token", keys.session_token});
  policy allowed{now + 5min, {{policy_condition::kind::equal, "bucket", name.bucket}}, length_range{0, 0}};
  for (const auto& f : fields) allowed.conditions.push_back({policy_condition::kind::equal, f.name, f.value});
  auto text = to_base64(policy_document(allowed));
  const auto key = sigv4::signing_key(keys.secret_key, scope.day(), scope.region, scope.service);
  fields.push_back({"x-amz-signature", sigv4::policy_signature(key, text)});
  fields.push_back({"policy", std::move(text)});
  std::string body;
  const std::string begin = "------postern-abilities\r\nContent-Disposition: form-data; name=\"";
  for (const auto& f : fields) body += begin + f.name + "\"\r\n\r\n" + f.value + "\r\n";
  return body + begin + "file\"; filename=\"a\"\r\n\r\n.\r\n------postern-abilities--\r\n";
}

aws_result<void> read_answer_to_form(const result<http_response>& answer, const std::string& operation, bool& takes) {
  if (!answer) return error_without_answer(answer.error(), operation);
  takes = answer->status != 501 && answer->status != 405 && answer->status != 412;
  if (takes && (answer->status >= 500 || answer->status == 429)) return read_aws_error(*answer, operation);
  return {}; // also where the answer is not clear: a form that fails has the fallback
}

// POST / HTTP/1.1
// Content-Type: multipart/form-data; boundary=…
task<aws_result<void>> ask_for_forms(s3_client& s3, http_client& http, object_name name, clock_point by,
                                     store_abilities& found) {
  const auto operation = "PostObject " + name.bucket + "/" + quote(name.key);
  auto held = co_await s3.credentials().get(by);
  if (!held) co_return error_without_answer(held.error(), operation);
  const auto place = locate_bucket(s3.options(), s3.region_of(name.bucket), name.bucket);
  if (!place) co_return error_without_answer(place.error(), operation);
  const auto body = refusable_form(name, (*held)->keys, place->region, s3.store_time());
  http_request ask;
  ask.to = place->at;
  ask.method = "POST";
  ask.target = place->path;
  ask.idle_timeout = s3.options().timeout;
  ask.deadline = by;
  ask.fields = {{"Content-Type", "multipart/form-data; boundary=----postern-abilities"}};
  auto answer = co_await http.send(ask, body);
  auto read = read_answer_to_form(answer, operation, found.takes_forms);
  if (!read) co_return read.error();
  const bool is_stored = answer->status < 300 || answer->status == 303;
  if (!is_stored) co_return aws_result<void>{};
  log::warning("the store does not enforce the policy of a form",
               {{"bucket", name.bucket}, {"why", "it stored more bytes than the signed policy allows"}});
  (void)co_await s3.delete_object(name, cleanup_end());
  co_return aws_result<void>{};
}

} // namespace

task<aws_result<store_abilities>> ask_abilities(s3_client& s3, http_client& http, std::string bucket,
                                                std::string key_prefix, clock_point by, multipart_journal* journal) {
  const auto name = unused_name(std::move(bucket), std::move(key_prefix));
  store_abilities found;
  // The first question learns the bucket's region and the store's time, which the form needs.
  auto asked = co_await ask_for_checksums(s3, journal_entry(journal), name, by, found);
  if (asked) asked = co_await ask_for_condition(s3, name, by, found);
  if (asked) asked = co_await ask_for_cors(s3, name.bucket, by, found);
  if (asked) asked = co_await ask_for_forms(s3, http, name, by, found);
  if (!asked) co_return asked.error();
  co_await ask_for_preflight(s3, http, name, by, found);
  co_return found;
}

} // namespace postern
