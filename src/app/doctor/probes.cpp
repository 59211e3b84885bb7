// The checks that put something into the store: an object, and a form as a browser posts it.
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

constexpr std::string_view contents = "postern doctor was here\n";
constexpr std::uint64_t largest_probe = 1 << 20;

// A name that no upload has.
std::string probe_name() {
  std::array<unsigned char, 10> random;
  random_bytes(random);
  return "postern-doctor-" + to_hex(random) + ".txt";
}

// Where this profile's uploads go, so that permissions for just these keys are enough. Nothing where the key does not
// depend on the upload: an object of that name would be someone's.
std::optional<std::string> probe_key(const profile& rules) {
  const auto now = now_millis();
  const auto id = new_uuid_v7(now), name = probe_name();
  const auto day = iso8601(std::chrono::floor<std::chrono::seconds>(now)).substr(0, 10);
  auto key = fill_key(rules.key, {id, name, "doctor", rules.name, day});
  if (!key || (key->find(id) == key->npos && key->find(name) == key->npos)) return std::nullopt;
  return *key;
}

finding fixed_key(const profile& rules) {
  return finding::untried("profile " + quote(rules.name) + " has one key for all uploads; a probe would replace one");
}

// What is left behind when even the removal fails, so that it can be done by hand.
finding not_removed(const object_name& name, const std::string& why) {
  return finding::wrong("the probe object could not be removed again: " + why,
                        "Remove it by hand:\n  aws s3 rm \"s3://" + name.bucket + "/" + name.key + "\"");
}

task<finding> probe_s3(patient& p, object_name name) {
  auto& s3 = *p.backend.s3;
  const auto place = locate_bucket(s3.options(), p.c.store.region, name.bucket);
  attempt tried{name.bucket, "s3:DeleteObject", place ? place->at.authority() : "", p.keys->keys};
  // First that it can be removed: S3 says yes of what is not there, and no to whoever may not.
  auto may_remove = co_await s3.delete_object(name);
  if (!may_remove) co_return store_refused(p.c, may_remove.error(), tried);
  const unbroken until_removed;
  tried.action = "s3:PutObject";
  object_meta meta;
  meta.headers.emplace_back("content-type", "text/plain");
  const auto sum = crc32c(0, contents);
  auto put = co_await s3.put_object(name, std::move(meta), contents, sum);
  std::optional<finding> bad;
  if (!put) bad = store_refused(p.c, put.error(), tried);
  if (put) {
    tried.action = "s3:GetObject";
    auto head = co_await s3.head_object(name);
    if (!head)
      bad = store_refused(p.c, head.error(), tried);
    else if (head->size != contents.size())
      bad = finding::wrong("the store keeps " + std::to_string(head->size) + " bytes of " +
                               std::to_string(contents.size()),
                           "What stands before the store changes what passes through.");
  }
  // Even when the PUT failed: an answer can get lost.
  auto removed = co_await s3.delete_object(name);
  if (!removed && put) co_return not_removed(name, to_failure(removed.error()).on);
  if (bad) co_return *bad;
  co_return finding::right("put, looked at and deleted in " + quote(name.bucket));
}

// Nothing when it is there, whole.
task<std::optional<finding>> put_file(const patient& p, store& objects, object_name name) {
  object_meta meta;
  auto sink = co_await objects.open(name, std::move(meta), contents.size());
  if (!sink) co_return finding::wrong(describe(sink.error()), "Look at store.path.");
  auto written = co_await (*sink)->write({contents.data(), contents.size()});
  if (!written) {
    co_await (*sink)->abandon();
    co_return finding::wrong(describe(written.error()), "Is there room on that disk? df -h " + p.c.store.path.string());
  }
  auto finished = co_await (*sink)->finish();
  if (!finished) co_return finding::wrong(describe(finished.error()), "Look at store.path.");
  co_return std::nullopt;
}

task<finding> probe_files(patient& p, object_name name) {
  const auto objects = p.backend.open(p.c);
  const unbroken until_removed;
  auto bad = co_await put_file(p, *objects, name);
  if (bad) co_return *bad;
  auto head = co_await objects->head(name);
  auto removed = co_await objects->remove(name);
  if (!head) co_return finding::wrong(describe(head.error()), "Look at store.path.");
  if (!removed) co_return finding::wrong(describe(removed.error()), "Look at store.path.");
  co_return finding::right("put, looked at and deleted in " + quote(name.bucket));
}

} // namespace

task<finding> check_probe(patient& p, const profile& rules) {
  const auto key = probe_key(rules);
  if (!key) co_return fixed_key(rules);
  object_name name{rules.bucket, *key};
  if (is_s3(p)) co_return co_await probe_s3(p, std::move(name));
  co_return co_await probe_files(p, std::move(name));
}

// --- the form ---------------------------------------------------------------------------------------

namespace {

result<signed_form> sign_probe(patient& p, const profile& rules) {
  form_signer_options options{p.c.profiles,     p.c.server.public_url,  direct_urls(p.c),
                              p.c.store.region, [&] { return p.keys; }, p.c.sweep.claim_lifetime};
  const form_signer forms(std::move(options), p.own, [](const upload&) {}); // the doctor's forms are nobody's uploads
  sign_request ask;
  ask.profile = rules.name;
  ask.filename = probe_name();
  const auto& type = rules.content_types.front();
  if (type != "*/*") ask.content_type = type.ends_with("/*") ? type.substr(0, type.size() - 1) + "x-probe" : type;
  ask.origin = p.c.server.public_url;
  caller who;
  who.user = "doctor";
  return forms.sign(ask, who, now_millis());
}

// As browsers send it (RFC 7578).
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

// 303, Location: <complete_url>?bucket=…&key=…&etag=…, in any order.
std::string fault_of(const http_response& answer, const signed_form& form) {
  const std::string_view location = answer.field("location");
  if (answer.status != 303) return "it is answered " + std::to_string(answer.status) + " instead of a redirect (303)";
  if (!location.starts_with(form.complete_url + "?")) return "the redirect does not go to success_action_redirect";
  const auto query = location.substr(form.complete_url.size() + 1);
  const auto is = [&](const char* name, const std::string& value) {
    const auto found = query_parameter(query, name);
    return found && *found == value;
  };
  if (!is("bucket", form.bucket) || !is("key", form.key)) return "the redirect names another bucket or key";
  const auto etag = query_parameter(query, "etag");
  return etag && !etag->empty() ? "" : "the redirect has no etag";
}

// Does the running server keep its files where we look for them, and is its secret ours? It is asked to complete an
// upload that is not one: of what is not there it says 404, of another object than the claim's 409, of a claim that it
// has not signed 403. Nothing is recorded, and nothing was posted yet that could not be found again.
task<std::optional<finding>> server_is_ours(patient& p, const signed_form& form) {
  const object_name name{form.bucket, form.key};
  const auto objects = p.backend.open(p.c);
  const unbroken until_removed;
  auto bad = co_await put_file(p, *objects, name);
  if (bad) co_return bad;
  const auto url = parse_web_url(form.complete_url + "?etag=%22doctor%22");
  http_request ask;
  ask.to = url->server;
  ask.target = url->target;
  ask.silence = 10s;
  ask.fields = {{"Accept", "application/json"}};
  auto answer = co_await p.web.send(ask);
  auto removed = co_await objects->remove(name);
  if (!removed) co_return finding::wrong(describe(removed.error()), "Look at store.path.");
  if (answer && answer->status == 404)
    co_return finding::wrong("the running server keeps its objects elsewhere than in " + p.c.store.path.string(),
                             "store.path is relative to the working directory: run the doctor in the server's.");
  if (answer && answer->status == 403)
    co_return finding::wrong("the running server does not know what is signed here",
                             "It was started with another server.secrets. Forms of one are worthless to the other.");
  co_return std::nullopt;
}

task<result<void>> remove_object(patient& p, object_name name) {
  if (!is_s3(p)) {
    const auto objects = p.backend.open(p.c);
    auto removed = co_await objects->remove(std::move(name));
    co_return removed;
  }
  auto removed = co_await p.backend.s3->delete_object(std::move(name));
  if (!removed) co_return to_failure(removed.error());
  co_return result<void>{};
}

finding form_finding(const patient& p, const result<http_response>& answer, const signed_form& form,
                     const std::string& url) {
  if (!answer)
    return not_reached(!is_s3(p)                           ? "server.public_url"
                       : p.c.store.public_endpoint.empty() ? "store.endpoint"
                                                           : "store.public_endpoint",
                       url, answer.error());
  if (answer->status >= 400 || (answer->status >= 300 && answer->status != 303)) {
    const auto policy =
        std::find_if(form.fields.begin(), form.fields.end(), [](auto& f) { return f.name == "policy"; });
    const posted_form posted{url, form.bucket, policy->value};
    const auto e = read_aws_error(*answer, "PostObject");
    if (is_s3(p)) return form_refused(p.c, e, posted);
    return finding::wrong("the running server refuses the form (" + said(e) + ")",
                          "Was it started with this very configuration, and the same server.secrets?");
  }
  if (const auto fault = fault_of(*answer, form); !fault.empty())
    return finding::wrong("a form posted to " + url + " is stored, but " + fault,
                          "Browsers would not come back to Postern, and nothing would be complete. What stands at that "
                          "URL must hand on the field success_action_redirect, and the answer as it is.");
  return finding::right("a form posted to " + url + " is redirected to " + p.c.server.public_url + "/v1/complete/…");
}

} // namespace

task<finding> check_form(patient& p, const profile& rules) {
  const auto named = p.c.profiles.size() > 1 ? "profile " + quote(rules.name) + ": " : std::string{};
  if (!is_s3(p) && !p.served)
    co_return finding::untried("the form goes to the running server, and nobody answers at public_url");
  if (!is_s3(p)) p.keys = std::make_shared<const held_credentials>(*p.base);
  if (!probe_key(rules)) co_return fixed_key(rules);
  if (rules.min_size > largest_probe)
    co_return finding::untried(named + "its uploads have at least " + std::to_string(rules.min_size) + " bytes");
  auto form = sign_probe(p, rules);
  if (!form) co_return finding::wrong(named + describe(form.error()), "Look at the profile's settings.");
  hide_all(p.out, *form);
  if (!is_s3(p)) {
    auto stranger = co_await server_is_ours(p, *form);
    if (stranger) co_return *stranger;
  }
  const std::string file(std::clamp<std::uint64_t>(contents.size(), rules.min_size, rules.max_size), '.');
  const auto boundary = "----postern" + form->id;
  const auto body = encoded(form->fields, boundary, file);
  const auto url = parse_web_url(is_s3(p) ? form->url : form->fallback_url);
  if (!url) co_return finding::wrong(url.error().on, "Look at store.public_endpoint and store.endpoint.");
  http_request ask;
  ask.to = url->server;
  ask.target = url->target;
  ask.method = "POST";
  ask.silence = 10s;
  ask.fields = {{"Content-Type", "multipart/form-data; boundary=" + boundary}, {"Accept", "*/*"}};
  const unbroken until_removed;
  auto answer = co_await (is_s3(p) ? p.backend.http : p.web).send(ask, body);
  auto found = form_finding(p, answer, *form, url->server.origin() + url->target);
  found.cause.insert(0, named);
  object_name name{form->bucket, form->key};
  auto removed = co_await remove_object(p, name);
  if (removed || found.is == verdict::wrong) co_return found;
  co_return not_removed(name, removed.error().on);
}

} // namespace postern::app
