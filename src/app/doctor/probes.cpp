// The checks that write to the store: they put an object, and post a form as a browser does.
#include "probe_objects.hpp"
#include <postern/app/doctor/checks.hpp>
#include <postern/app/doctor/remedies.hpp>
#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/random.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/http/url.hpp>
#include <postern/flow/sign.hpp>

#include <algorithm>
#include <array>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

constexpr auto contents = probe_contents;
std::string check_path(const examination& exam) {
  return "Check the path and the permissions of " + exam.c.store.setting("path") + ".";
}
constexpr std::uint64_t max_probe_size = 1 << 20;
constexpr std::uint64_t large_probe_size = (1 << 20) + (64 << 10); // nginx's limit is 1 MiB unless it is told otherwise

// A file name that no upload has.
std::string probe_name() {
  std::array<unsigned char, 10> random;
  random_bytes(random);
  return "postern-doctor-" + to_hex(random) + ".txt";
}

// A value for each name that the key needs.
std::vector<std::pair<std::string, std::string>> probe_metadata(const profile& rules) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& metadata_name : rules.key_metadata) all.emplace_back(metadata_name, "doctor");
  return all;
}

} // namespace

std::optional<std::string> probe_key(const profile& rules) {
  const auto now = now_millis();
  const auto id = new_uuid_v7(now), name = probe_name();
  const auto day = iso8601(std::chrono::floor<std::chrono::seconds>(now)).substr(0, 10);
  const auto metadata = probe_metadata(rules);
  auto key = fill_key(rules.key, {id, name, "doctor", rules.name, day, metadata});
  if (!key || (key->find(id) == key->npos && key->find(name) == key->npos)) return std::nullopt;
  return *key;
}

finding fixed_key(const profile& rules) {
  return finding::skipped("skipped, because the profile " + quote(rules.name) + " has one key for all uploads (" +
                          quote(rules.key) + "), and a probe would replace one");
}

finding not_removed(const object_name& name, const std::string& why) {
  return finding::failed("the probe object could not be removed: " + why,
                         "Remove it yourself:\n  aws s3 rm \"s3://" + name.bucket + "/" + name.key + "\"");
}

namespace {

task<finding> probe_s3(examination& exam, object_name name) {
  auto& s3 = *exam.backend.s3;
  const auto place = locate_bucket(s3.options(), exam.c.store.region, name.bucket);
  attempt tried{name.bucket, "s3:DeleteObject", place ? place->at.authority() : "", exam.keys->keys};
  // A DELETE before the PUT shows that the doctor can remove the object. Without an object, DELETE changes nothing.
  auto may_delete = co_await s3.delete_object(name);
  if (!may_delete) co_return explain_refused_request(exam.c, may_delete.error(), tried);
  const deferred_signals until_removed;
  tried.action = "s3:PutObject";
  object_meta meta;
  meta.headers.emplace_back("content-type", "text/plain");
  const auto sum = crc32c(0, contents);
  auto put = co_await s3.put_object(name, std::move(meta), contents, sum);
  std::optional<finding> bad;
  if (!put) bad = explain_refused_request(exam.c, put.error(), tried);
  if (put) {
    tried.action = "s3:GetObject";
    auto head = co_await s3.head_object(name);
    if (!head)
      bad = explain_refused_request(exam.c, head.error(), tried);
    else if (head->size != contents.size())
      bad = finding::failed("the store has " + std::to_string(head->size) + " bytes of the probe object, " +
                                std::to_string(contents.size()) + " were sent",
                            "Something between Postern and the store changes bodies: check the proxies there.");
  }
  // Delete also after a failed PUT: the answer can be lost although the object was stored.
  auto removed = co_await s3.delete_object(name);
  if (!removed && put) co_return not_removed(name, to_failure(removed.error()).on);
  if (bad) co_return *bad;
  co_return finding::passed("put, read (HEAD) and deleted in " + quote(name.bucket));
}

// std::nullopt: the object exists now.
task<std::optional<finding>> put_file(const examination& exam, store& objects, object_name name) {
  object_meta meta;
  auto sink = co_await objects.open(name, std::move(meta), contents.size(), nullptr);
  if (!sink) co_return finding::failed(describe(sink.error()), check_path(exam));
  auto written = co_await (*sink)->write({contents.data(), contents.size()});
  if (!written) {
    co_await (*sink)->abandon();
    co_return finding::failed(describe(written.error()),
                              "Check the free space of the disk:\n  df -h " + exam.c.store.path.string());
  }
  auto finished = co_await (*sink)->finish();
  if (!finished) co_return finding::failed(describe(finished.error()), check_path(exam));
  co_return std::nullopt;
}

task<finding> probe_files(examination& exam, object_name name) {
  const auto objects = exam.backend.open(exam.c);
  const deferred_signals until_removed;
  auto bad = co_await put_file(exam, *objects, name);
  if (bad) co_return *bad;
  auto head = co_await objects->head(name);
  auto removed = co_await objects->remove(name);
  if (!head) co_return finding::failed(describe(head.error()), check_path(exam));
  if (!removed) co_return finding::failed(describe(removed.error()), check_path(exam));
  co_return finding::passed("put, read (HEAD) and deleted in " + quote(name.bucket));
}

} // namespace

task<finding> check_probe(examination& exam, const profile& rules) {
  const auto key = probe_key(rules);
  if (!key) co_return fixed_key(rules);
  object_name name{rules.bucket, *key};
  if (is_s3(exam)) co_return co_await probe_s3(exam, std::move(name));
  co_return co_await probe_files(exam, std::move(name));
}

// --- the form ---------------------------------------------------------------------------------------

namespace {

result<signed_form> sign_probe(examination& exam, const profile& rules) {
  form_signer_options options;
  options.profiles = exam.c.profiles;
  options.public_url = exam.c.server.public_url;
  form_store signed_for;
  signed_for.region = exam.c.store.region;
  signed_for.credentials = [&] { return exam.keys; };
  signed_for.direct_urls = direct_urls(exam.c);
  options.find_store = only(std::move(signed_for));
  options.claim_lifetime = exam.c.sweep.claim_lifetime;
  const form_signer forms(std::move(options), exam.server_signer);
  sign_request ask;
  ask.profile = rules.name;
  ask.filename = probe_name();
  ask.metadata = probe_metadata(rules);
  const auto& type = rules.content_types.front();
  if (type != "*/*") ask.content_type = type.ends_with("/*") ? type.substr(0, type.size() - 1) + "x-probe" : type;
  ask.origin = exam.c.server.public_url;
  caller who;
  who.user = "doctor";
  return forms.sign(ask, who, now_millis()); // it is no upload, so it is not recorded
}

// The form as browsers encode it (RFC 7578).
std::string encoded(const std::vector<form_field>& fields, const std::string& boundary, const std::string& file) {
  std::string out;
  for (const auto& f : fields)
    out += "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + f.name + "\"\r\n\r\n" + f.value + "\r\n";
  return out + "--" + boundary + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"postern-doctor.txt\"" +
         "\r\nContent-Type: text/plain\r\n\r\n" + file + "\r\n--" + boundary + "--\r\n";
}

void hide_all(report& out, const signed_form& form) {
  for (const auto& f : form.fields)
    if (f.name == "policy" || f.name == "x-amz-signature" || f.name == "x-ignore-postern" ||
        f.name == "x-amz-security-token")
      out.hide(f.value);
  out.hide(form.complete_url.substr(form.complete_url.rfind('/') + 1));
}

// What is wrong with the answer to a form. Empty: nothing. The right answer is a 303 to
// <complete_url>?bucket=…&key=…&etag=…, in any order.
std::string find_redirect_fault(const http_response& answer, const signed_form& form) {
  const std::string_view location = answer.field("location");
  if (answer.status != 303) return "the answer is " + std::to_string(answer.status) + " instead of a redirect (303)";
  if (!location.starts_with(form.complete_url + "?")) return "the redirect does not lead to success_action_redirect";
  const auto query = location.substr(form.complete_url.size() + 1);
  const auto is = [&](const char* name, const std::string& value) {
    const auto found = query_parameter(query, name);
    return found && *found == value;
  };
  if (!is("bucket", form.bucket) || !is("key", form.key)) return "the redirect names another bucket or key";
  const auto etag = query_parameter(query, "etag");
  return etag && !etag->empty() ? "" : "the redirect has no etag";
}

finding other_store(const examination& exam) {
  if (is_s3(exam))
    return finding::failed("the running server does not see an object that the doctor has put into S3",
                           "The running server has another store. Run the doctor with the server's configuration and "
                           "environment, or restart the server.");
  return finding::failed("the running server keeps its objects elsewhere than in " + exam.c.store.path.string(),
                         "A relative " + exam.c.store.setting("path") +
                             " is relative to the working directory. Run the doctor in the server's "
                             "working directory, or set an absolute path.");
}

// Does the running server have the same store and the same server.secrets? The doctor puts an object that does not
// match the form's claim, and asks the server to complete the upload. 409: the server sees the object. 404: its store
// is elsewhere. 403: its secrets differ. In no case is anything recorded, and the form is not posted yet. std::nullopt:
// both are the same.
task<std::optional<finding>> find_other_server(examination& exam, const signed_form& form) {
  const object_name name{form.bucket, form.key};
  const auto objects = exam.backend.open(exam.c);
  const deferred_signals until_removed;
  auto bad = co_await put_file(exam, *objects, name);
  if (bad) co_return bad;
  const auto url = parse_web_url(form.complete_url + "?etag=%22doctor%22");
  http_request ask;
  ask.to = url->server;
  ask.target = url->target;
  ask.idle_timeout = 10s;
  ask.fields = {{"Accept", "application/json"}};
  auto answer = co_await exam.browser.send(ask);
  auto removed = co_await objects->remove(name);
  if (!removed) co_return not_removed(name, removed.error().on);
  if (answer && answer->status == 404) co_return other_store(exam);
  if (answer && answer->status == 403)
    co_return finding::failed("the running server does not accept what this program signs",
                              "The running server has another server.secrets. Run the doctor with the server's "
                              "configuration, or restart the server.");
  co_return std::nullopt;
}

task<result<void>> remove_object(examination& exam, object_name name) {
  if (!is_s3(exam)) {
    const auto objects = exam.backend.open(exam.c);
    auto removed = co_await objects->remove(std::move(name));
    co_return removed;
  }
  auto removed = co_await exam.backend.s3->delete_object(std::move(name));
  if (!removed) co_return to_failure(removed.error());
  co_return result<void>{};
}

// Posts the form with a file of this size, as a browser does.
task<result<http_response>> post_form(http_client& by, const signed_form& form, const web_url& url,
                                      std::uint64_t size) {
  const std::string file(size, '.');
  const auto boundary = "----postern" + form.id;
  const auto body = encoded(form.fields, boundary, file);
  http_request ask;
  ask.to = url.server;
  ask.target = url.target;
  ask.method = "POST";
  ask.idle_timeout = 10s;
  ask.fields = {{"Content-Type", "multipart/form-data; boundary=" + boundary}, {"Accept", "*/*"}};
  co_return co_await by.send(ask, body);
}

// The first profile that takes a file of this size, and whose keys leave other objects alone. nullptr: none.
const profile* find_profile_for(const config& c, std::uint64_t size) {
  for (const auto& [name, rules] : c.profiles)
    if (rules.min_size <= size && size <= rules.max_size && probe_key(rules)) return &rules;
  return nullptr;
}

finding form_finding(const examination& exam, const result<http_response>& answer, const signed_form& form,
                     const std::string& url) {
  if (!answer)
    return explain_unreachable(
        is_s3(exam) ? exam.c.store.setting(exam.c.store.public_endpoint.empty() ? "endpoint" : "public_endpoint")
                    : std::string("server.public_url"),
        url, answer.error());
  if (answer->status >= 400 || (answer->status >= 300 && answer->status != 303)) {
    const auto policy =
        std::find_if(form.fields.begin(), form.fields.end(), [](auto& f) { return f.name == "policy"; });
    const posted_form posted{url, form.bucket, policy->value};
    const auto e = read_aws_error(*answer, "PostObject");
    if (is_s3(exam)) return explain_refused_form(exam.c, e, posted);
    return finding::failed(
        "the running server refuses the form (" + refusal_text(e) + ")",
        "Check that it was started with this configuration and the same server.secrets; restart it if not.");
  }
  if (const auto fault = find_redirect_fault(*answer, form); !fault.empty())
    return finding::failed("a form posted to " + url + " is stored, but " + fault,
                           "Browsers would not return to Postern after an upload. A proxy at this URL must pass on the "
                           "form and the answer unchanged.");
  return finding::passed("a form posted to " + url + " is redirected to " + exam.c.server.public_url +
                         "/v1/complete/…");
}

} // namespace

task<finding> check_form(examination& exam, const profile& rules) {
  const auto named = exam.c.profiles.size() > 1 ? "profile " + quote(rules.name) + ": " : std::string{};
  if (!is_s3(exam) && !exam.is_served)
    co_return finding::skipped("skipped, because the form goes to the running server and none answers at public_url");
  if (!is_s3(exam)) exam.keys = std::make_shared<const held_credentials>(*exam.caller);
  if (!probe_key(rules)) co_return fixed_key(rules);
  if (rules.min_size > max_probe_size)
    co_return finding::skipped(named + "skipped, because its min_size of " + std::to_string(rules.min_size) +
                               " bytes is more than the doctor sends");
  auto form = sign_probe(exam, rules);
  if (!form)
    co_return finding::failed(named + describe(form.error()), "Check the settings in [profiles." + rules.name + "].");
  hide_all(exam.out, *form);
  if (!is_s3(exam)) {
    auto other = co_await find_other_server(exam, *form);
    if (other) co_return *other;
  }
  const auto size = std::clamp<std::uint64_t>(contents.size(), rules.min_size, rules.max_size);
  const auto url = parse_web_url(is_s3(exam) ? form->url : form->fallback_url);
  if (!url)
    co_return finding::failed(url.error().on, "Check " + exam.c.store.setting("public_endpoint") + " and " +
                                                  exam.c.store.setting("endpoint") + ".");
  const deferred_signals until_removed;
  auto answer = co_await post_form(is_s3(exam) ? exam.backend.http : exam.browser, *form, *url, size);
  auto found = form_finding(exam, answer, *form, url->server.origin() + url->target);
  found.cause.insert(0, named);
  object_name name{form->bucket, form->key};
  auto removed = co_await remove_object(exam, name);
  if (removed || found.kind == verdict::failed) co_return found;
  co_return not_removed(name, removed.error().on);
}

bool takes_large_form(const config& c) { return find_profile_for(c, large_probe_size) != nullptr; }

// The form goes to Postern, whatever the store is, because the proxy before Postern is the question. The upload is
// recorded, with the user "doctor".
task<finding> check_large_form(examination& exam) {
  if (!exam.is_served) co_return finding::skipped("skipped, because Postern does not answer at public_url");
  const auto* rules = find_profile_for(exam.c, large_probe_size);
  if (!rules) co_return finding::skipped("skipped, because no profile takes a file of more than 1 MiB");
  if (!is_s3(exam) && exam.caller) exam.keys = std::make_shared<const held_credentials>(*exam.caller);
  if (!exam.keys) co_return finding::skipped("skipped, because there are no credentials to sign a form with");
  auto form = sign_probe(exam, *rules);
  if (!form) co_return finding::failed(describe(form.error()), "Check the settings in [profiles." + rules->name + "].");
  hide_all(exam.out, *form);
  // Another server would keep the object where the doctor cannot remove it.
  auto other = co_await find_other_server(exam, *form);
  if (other) co_return is_s3(exam) ? *other : finding::skipped("skipped, because the check \"form\" failed");
  const auto url = parse_web_url(form->fallback_url);
  if (!url) co_return finding::failed(url.error().on, "Check server.public_url.");
  const deferred_signals until_removed;
  auto answer = co_await post_form(exam.browser, *form, *url, large_probe_size);
  auto found = judge_large_form(url->server.origin() + url->target, answer);
  object_name name{form->bucket, form->key};
  auto removed = co_await remove_object(exam, name);
  if (removed || found.kind == verdict::failed) co_return found;
  co_return not_removed(name, removed.error().on);
}

} // namespace postern::app
