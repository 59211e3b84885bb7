// The checks of what the store can do, of the presigned PUT, and of the bucket's lifecycle rules.
#include "probe_objects.hpp"
#include <postern/app/doctor/checks.hpp>
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/lifecycle.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/s3/presign.hpp>

#include <algorithm>

namespace postern::app {

using namespace std::chrono_literals;

// --- what the store can do --------------------------------------------------------------------------

namespace {

using way = config::direct_way;

bool is_chosen(const config& c, way w) {
  const auto& ways = c.store.ways;
  return ways && std::find(ways->begin(), ways->end(), w) != ways->end();
}

bool is_left_out(const config& c, way w) { return c.store.ways && !is_chosen(c, w); }

finding left_out(const config& c, const std::string& ability, const char* word) {
  return finding::skipped(ability + ": " + c.store.setting("ways") + " leaves \"" + word + "\" out");
}

finding chosen_in_vain(const config& c, const std::string& why, const char* word) {
  const auto setting = c.store.setting("ways");
  return finding::failed(why + ", and " + setting + " names \"" + word + "\"",
                         "Remove \"" + std::string(word) + "\" from " + setting + ", or set it to \"auto\".");
}

finding judge_forms(const examination& exam) {
  const std::string none = "no POST Object";
  if (is_left_out(exam.c, way::form)) return left_out(exam.c, "POST Object", "form");
  if (exam.seen->takes_forms) return finding::passed("POST Object: browsers post forms straight to the store");
  if (is_chosen(exam.c, way::form)) return chosen_in_vain(exam.c, "the store has " + none, "form");
  if (exam.used.takes_presigned_put) return finding::passed(none + ": browsers use a presigned PUT");
  return finding::warning(none + ", and no presigned PUT: browsers upload by the fallback, through Postern");
}

finding judge_put(const examination& exam) {
  if (is_left_out(exam.c, way::put)) return left_out(exam.c, "presigned PUT", "put");
  if (exam.seen->takes_presigned_put && !exam.seen->preflights_signed_headers) {
    const auto why = "no presigned PUT from browsers: the store answers 403 SignatureDoesNotMatch to their preflight";
    return is_chosen(exam.c, way::put)
               ? chosen_in_vain(exam.c, why, "put")
               : finding::warning(why, "Ceph RGW does so with temporary credentials (role_arn). Forms and parts work.");
  }
  if (exam.seen->takes_presigned_put)
    return finding::passed("presigned PUT: browsers may send a file straight to the store");
  const auto why = "no presigned PUT: the keys may not do s3:PutObject";
  return is_chosen(exam.c, way::put) ? chosen_in_vain(exam.c, why, "put") : finding::warning(why);
}

finding judge_parts(const examination& exam) {
  if (is_left_out(exam.c, way::multipart)) return left_out(exam.c, "multipart", "multipart");
  if (exam.seen->takes_presigned_parts)
    return finding::passed("multipart: large files are sent in parts, each of which can be sent again");
  const auto why = "no multipart uploads: the store refuses to begin one, so the fallback takes small files only";
  return is_chosen(exam.c, way::multipart) ? chosen_in_vain(exam.c, why, "multipart") : finding::warning(why);
}

finding judge_overwriting(const examination& exam) {
  if (!exam.c.store.sends_if_none_match)
    return finding::skipped("If-None-Match: " + exam.c.store.setting("if_none_match") + " is \"none\"");
  return finding::passed(exam.seen->takes_if_none_match
                             ? "If-None-Match: the store can refuse to replace an object"
                             : "no If-None-Match: only the keys, with ${id} in them, keep uploads apart");
}

finding judge_checksums(const examination& exam) {
  if (!exam.c.store.sends_checksums)
    return finding::skipped("checksums: " + exam.c.store.setting("checksums") + " is \"none\"");
  return finding::passed(exam.seen->checks_whole_object ? "checksums: the store verifies the CRC32C of each object"
                         : exam.seen->checks_checksums
                             ? "checksums: the store verifies the CRC32C of each part"
                             : "no checksums: the store ignores x-amz-checksum-*; Postern records the CRC32C "
                               "of fallback uploads");
}

finding judge_cors_documents(const examination& exam) {
  return finding::passed(exam.seen->has_bucket_cors
                             ? "CORS documents: each bucket has its own rules"
                             : "no CORS documents: which pages may upload is a setting of the store itself");
}

} // namespace

task<std::vector<finding>> check_abilities(examination& exam) {
  std::vector<finding> out;
  if (!is_s3(exam)) {
    out.push_back(finding::skipped("browsers reach a directory through Postern only"));
    co_return out;
  }
  auto found = co_await ask_abilities_of(exam.c, exam.backend);
  if (!found) {
    out.push_back(finding::warning("the store does not say what it can do: " + to_failure(found.error()).on,
                                   "A running server asks again until the store answers. Run the doctor again."));
    co_return out;
  }
  exam.seen = *found;
  exam.used = with_settings(exam.c.store, *found);
  exam.used.takes_forms = exam.used.takes_forms && found->takes_forms; // the settings may name it in vain
  for (const auto judge :
       {judge_forms, judge_put, judge_parts, judge_overwriting, judge_checksums, judge_cors_documents})
    out.push_back(judge(exam));
  co_return out;
}

// --- a presigned PUT --------------------------------------------------------------------------------

namespace {

finding put_finding(const examination& exam, const result<http_response>& answer, const object_name& name,
                    const web_url& url) {
  const auto at = url.server.origin();
  if (!answer)
    return explain_unreachable(
        exam.c.store.setting(exam.c.store.public_endpoint.empty() ? "endpoint" : "public_endpoint"), at,
        answer.error());
  if (answer->status < 300) return finding::passed("a file put to " + at + " with a presigned URL is stored");
  const attempt tried{name.bucket, "s3:PutObject", url.server.authority(), exam.keys->keys};
  return explain_refused_request(exam.c, read_aws_error(*answer, "PutObject"), tried);
}

} // namespace

// PUT /key?X-Amz-Algorithm=…&X-Amz-Signature=… HTTP/1.1
// Content-Type: text/plain
// Origin: https://app.example.com
task<finding> check_presigned_put(examination& exam, const profile& rules) {
  const auto named = exam.c.profiles.size() > 1 ? "profile " + quote(rules.name) + ": " : std::string{};
  const auto key = probe_key(rules);
  if (!key) co_return fixed_key(rules);
  object_name name{rules.bucket, *key};
  s3_presigner presigner(*exam.backend.s3);
  signed_body body;
  body.size = probe_contents.size();
  body.meta.headers.emplace_back("content-type", "text/plain");
  auto signed_url = co_await presigner.presign_put(name, std::move(body), 1min);
  if (!signed_url) co_return finding::failed(named + describe(signed_url.error()), "Run the doctor again.");
  exam.out.hide(signed_url->url.substr(signed_url->url.rfind('=') + 1)); // the signature
  const auto url = parse_web_url(signed_url->url);
  if (!url) co_return finding::failed(url.error().on, "Check " + exam.c.store.setting("public_endpoint") + ".");
  http_request ask;
  ask.to = url->server;
  ask.target = url->target;
  ask.method = "PUT";
  ask.idle_timeout = 10s;
  ask.fields = signed_url->headers;
  ask.fields.emplace_back("Origin", origins_of(exam.c).front());
  const deferred_signals until_removed;
  auto answer = co_await exam.backend.http.send(ask, probe_contents);
  exam.exposes_etag_of_put = answer && exposes_etag(*answer);
  auto found = put_finding(exam, answer, name, *url);
  found.cause.insert(0, named);
  auto removed = co_await exam.backend.s3->delete_object(name);
  if (removed || found.kind == verdict::failed) co_return found;
  co_return not_removed(name, to_failure(removed.error()).on);
}

// --- lifecycle rules --------------------------------------------------------------------------------

task<finding> check_lifecycle(examination& exam, std::string bucket) {
  if (!is_s3(exam)) co_return finding::skipped("a directory has no multipart uploads");
  if (!may_use_multipart(exam.c, bucket))
    co_return finding::skipped("no file for " + quote(bucket) + " is large enough for a multipart upload");
  const std::string left =
      "Multipart uploads that nobody completes cost money until somebody aborts them. Postern does, "
      "unless its ledger is lost. ";
  auto rules = co_await exam.backend.s3->get_bucket_lifecycle(bucket);
  if (!rules && (rules.error().status == 501 || rules.error().status == 405))
    co_return finding::skipped("cannot be checked: the store has no lifecycle rules");
  if (!rules && rules.error().code == "AccessDenied")
    co_return finding::skipped("cannot be checked: the keys may not do s3:GetLifecycleConfiguration in " +
                               quote(bucket));
  if (!rules && rules.error().code != "NoSuchLifecycleConfiguration")
    co_return finding::warning("cannot be checked: " + to_failure(rules.error()).on);
  const auto days = rules ? find_abort_days(exam.c, bucket, rules->document) : std::nullopt;
  if (days)
    co_return finding::passed("multipart uploads in " + quote(bucket) + " that nobody ends are aborted after " +
                              std::to_string(*days) + (*days == 1 ? " day" : " days"));
  co_return finding::warning("no lifecycle rule of " + quote(bucket) + " aborts multipart uploads that nobody ends",
                             left + "Put a rule, beside those that are there, with\n  postern setup lifecycle --apply" +
                                 exam.setup_options);
}

} // namespace postern::app
