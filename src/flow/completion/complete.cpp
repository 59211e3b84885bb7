#include <postern/base/log.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/file_type.hpp>
#include <postern/core/object.hpp>
#include <postern/flow/completion/complete.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::size_t max_listed = 32; // objects below the prefix of one form; a form makes one

// Is this the object for which the form was signed?
result<void> judge(const upload& u, const stored_object& found, const std::optional<std::string>& etag) {
  if (upload_id_of(found.meta) != u.id)
    return failure{errc::conflict, "the object belongs to another upload: its metadata postern-id differs"};
  if (found.size < u.min_size || found.size > u.max_size)
    return failure{errc::conflict, "the object has " + std::to_string(found.size) + " bytes; the policy allowed " +
                                       std::to_string(u.min_size) + " to " + std::to_string(u.max_size)};
  // Some stores do not enforce the policy.
  if (const auto type = content_type_of(found.meta);
      !u.content_type.empty() && !is_same_content_type(type, u.content_type))
    return failure{errc::conflict,
                   "the object's content type is " + quote(type) + "; " + quote(u.content_type) + " was signed"};
  if (etag && bare_etag(*etag) != found.etag) return failure{errc::conflict, "the object has another ETag"};
  return {};
}

} // namespace

namespace {

// Nothing that arrives changes it.
bool is_over(const upload& u) {
  return u.state == upload_state::rejected || u.state == upload_state::removing || u.state == upload_state::removed;
}

bool is_stored(const upload& u) { return u.state == upload_state::checking || u.state == upload_state::completed; }

// Under which key the form has stored the object.
const std::string& key_of_form(const upload& u) { return u.form_key.empty() ? u.key : u.form_key; }

} // namespace

bool covers_key(std::string_view claimed_key, std::string_view key) {
  if (!claimed_key.ends_with(filename_variable)) return key == claimed_key;
  const auto prefix = claimed_key.substr(0, claimed_key.size() - filename_variable.size());
  return key.size() > prefix.size() && key.starts_with(prefix);
}

upload upload_of(const claim& c, std::string key) {
  upload u;
  u.id = c.id;
  u.profile = c.profile;
  u.user = c.user;
  u.bucket = c.bucket;
  u.key = std::move(key);
  u.min_size = c.length.min;
  u.max_size = c.length.max;
  u.content_type = c.content_type;
  u.expires_at = c.expires;
  return u;
}

task<result<redirect_outcome>> completer::complete_by_redirect(std::string token, redirect_parameters query,
                                                               std::string client, millis_clock now) {
  auto c = own_.read_claim(token, std::chrono::floor<std::chrono::seconds>(now));
  if (!c) co_return c.error();
  if (query.bucket && *query.bucket != c->bucket) co_return failure{errc::forbidden, "the claim names another bucket"};
  // No ledger can store it, and no form has such a key.
  if (query.key && (query.key->find('\0') != std::string::npos || !is_utf8(*query.key)))
    co_return failure{errc::bad_request, "the key has a zero byte, or is not UTF-8"};
  if (query.key && !covers_key(c->key, *query.key)) co_return failure{errc::forbidden, "the claim names another key"};

  auto known = co_await ledger_.find(c->id);
  if (!known && known.error().code != errc::not_found) co_return known.error();
  if (known && is_over(*known)) co_return no_longer_possible(*known);
  if (known && is_stored(*known)) {
    if (query.key && *query.key != key_of_form(*known))
      co_return failure{errc::conflict, "the form was used before, for another file"};
    // A reload, or the fallback recorded the completion before its redirect. Only another ETag is a change; an object
    // that was moved out of quarantine may have another one than the form was answered with.
    if (!query.etag || bare_etag(*query.etag) == known->etag || !known->form_key.empty())
      co_return redirect_outcome{std::move(*c), std::move(*known), false};
  }
  std::string key = query.key ? *query.key : known ? key_of_form(*known) : c->key;
  if (!query.key && key.ends_with(filename_variable))
    co_return failure{errc::bad_request, "key is missing from the query"};
  if (c->key.ends_with(filename_variable))
    if (auto may = claims_.take(c->id, std::chrono::steady_clock::now()); !may) co_return may.error();
  auto expected = upload_of(*c, std::move(key));
  if (known) expected.final_key = known->final_key;
  if (known) expected.way = known->way;
  auto found = co_await examine(expected, std::move(query.etag), std::move(client));
  if (!found) {
    const bool was_removed = known && known->failed_because == text_of(errc::type_mismatch).name;
    if (was_removed && found.error().code == errc::object_absent)
      co_return failure{errc::type_mismatch, "the object was deleted"};
    if (store_answered(found.error())) co_return found.error();
    log::warning("completion pending: the store gives no answer",
                 {{"upload", c->id}, {"why", describe(found.error())}});
    auto unsettled = co_await ledger_.check_later(std::move(expected), now);
    if (!unsettled) co_return unsettled.error();
    co_return redirect_outcome{std::move(*c), std::move(*unsettled), true};
  }
  auto recorded = co_await record(std::move(expected), std::move(*found), completion_source::redirect, now);
  if (!recorded) co_return recorded.error();
  co_return redirect_outcome{std::move(*c), std::move(*recorded), false};
}

// The upload that was signed for this key. errc::not_found: there is none.
task<result<upload>> completer::find_by_key(object_event event) {
  for (auto& id : ids_in_key(event.key)) {
    auto known = co_await ledger_.find(std::move(id));
    if (!known && known.error().code != errc::not_found) co_return known.error();
    if (known && known->bucket == event.bucket && covers_key(known->key, event.key)) co_return known;
  }
  co_return failure{errc::not_found, "no upload was signed for that bucket and key"};
}

task<result<event_outcome>> completer::complete_by_event(object_event event, millis_clock now, bucket_names& silent) {
  if (!event.created || ids_in_key(event.key).empty()) co_return event_outcome::ignored;
  const auto refused = [&event](std::string_view upload, const failure& why) {
    log::info("event ignored",
              {{"upload", upload}, {"bucket", event.bucket}, {"key", event.key}, {"why", describe(why)}});
    return event_outcome::ignored;
  };
  auto known = co_await find_by_key(event);
  if (!known && known.error().code != errc::not_found) co_return known.error();
  const bool is_silent = silent.contains(event.bucket);
  if (!known && is_silent) co_return failure{errc::unavailable, "the store gives no answer"};
  if (!known) known = co_await rebuild_from_object(event, now);
  if (!known && is_silence(known.error())) silent.insert(event.bucket);
  // A store that refuses to show an object (403) will refuse later too.
  if (!known && known.error().code != errc::store_failed && !store_answered(known.error())) co_return known.error();
  if (!known) co_return refused("", known.error());

  auto expected = std::move(*known);
  if (is_over(expected)) co_return event_outcome::ignored; // the sweep deletes what comes now
  const bool is_completed = is_stored(expected);
  if (is_completed && (event.etag.empty() || event.etag == expected.etag)) co_return event_outcome::recorded;
  expected.key = event.key;
  result<stored_object> found =
      failure{errc::unavailable, "the store gave no answer to an earlier event of this message"};
  // An overwrite may be any object, so it is not judged.
  auto looking = is_completed ? head_of(expected) : examine(expected, std::nullopt);
  if (!is_silent) found = co_await std::move(looking);
  if (!found && store_answered(found.error())) co_return refused(expected.id, found.error());
  if (!found && found.error().code != errc::too_many_requests) silent.insert(event.bucket);
  // The sweep skips completed uploads, so the event is rejected and the sender retries.
  if (!found && is_completed) co_return failure{errc::unavailable, "the store gives no answer"};
  // The event reports another object than the store now has. The event proves nothing, but the store is checked later.
  const bool is_of_another = found && !is_completed && !event.etag.empty() && event.etag != found->etag;
  if (!found || is_of_another) {
    log::info("event pending: the sweep checks the object",
              {{"upload", expected.id}, {"why", found ? "the object has another ETag" : describe(found.error())}});
    auto asked = co_await ledger_.check_later(std::move(expected), now);
    if (!asked) co_return asked.error();
    co_return event_outcome::pending;
  }
  auto recorded = co_await record(std::move(expected), std::move(*found), completion_source::event, now);
  if (!recorded) co_return recorded.error();
  co_return event_outcome::recorded;
}

// An upload without a row, rebuilt from its object: the object's metadata holds the id that stands in the key.
// errc::object_absent, errc::conflict: the object belongs to no upload. An upload that the ledger has deleted for its
// age must not begin anew.
task<result<upload>> completer::rebuild_from_object(object_event event, millis_clock now) {
  upload u;
  u.bucket = event.bucket;
  u.key = event.key;
  auto found = co_await head_of(u);
  if (!found) co_return found.error();
  const auto ids = ids_in_key(event.key);
  const auto id = upload_id_of(found->meta);
  if (std::find(ids.begin(), ids.end(), id) == ids.end())
    co_return failure{errc::conflict,
                      "no upload was signed for that bucket and key, and the object's metadata names none"};
  auto known = co_await ledger_.find(id);
  if (known) co_return failure{errc::conflict, "the upload that the object names has another key"};
  if (known.error().code != errc::not_found) co_return known.error();
  u.id = id;
  u.created_at = time_of_uuid_v7(id);
  if (retention_.count() && u.created_at + retention_ < now)
    co_return failure{errc::conflict, "the upload is older than ledger.retention"};
  for (const auto& [name, value] : found->meta.user)
    if (name != "postern-id") u.metadata.emplace_back(name, value);
  u.min_size = u.max_size = found->size;
  u.expires_at = std::chrono::floor<std::chrono::seconds>(now);
  co_return u;
}

task<result<stored_object>> completer::head_of(upload u, std::string client) {
  object_name name{std::move(u.bucket), std::move(u.key)};
  co_return co_await heads_.ask(std::move(name), std::move(client));
}

task<result<stored_object>> completer::examine(upload u, std::optional<std::string> etag, std::string client) {
  auto found = co_await head_of(u, std::move(client));
  if (!found) co_return found.error();
  if (auto right = judge(u, *found, etag); !right) co_return right.error();
  if (verifier_) {
    auto fits = co_await verifier_->examine(std::move(u), *found);
    if (!fits) co_return fits.error();
  }
  co_return found;
}

task<result<stored_object>> completer::find_object(upload& u) {
  if (!u.key.ends_with(filename_variable)) co_return co_await examine(u, std::nullopt);
  const auto prefix = u.key.substr(0, u.key.size() - filename_variable.size());
  const auto ids = ids_in_key(prefix);
  failure why{errc::object_absent, "no object's key begins with " + quote(prefix)};
  // Without the id in it, the prefix may be that of any number of other uploads.
  if (std::find(ids.begin(), ids.end(), u.id) == ids.end())
    co_return failure{errc::object_absent, "the file's name is unknown, and the key has no id ahead of it"};
  auto keys = co_await store_.list(u.bucket, prefix, max_listed);
  const bool is_refused =
      !keys && (keys.error().code == errc::store_failed || keys.error().code == errc::no_such_bucket);
  if (is_refused) { // and it will be refused later too
    why.on = "the file's name is unknown, and the store refuses to list objects: " + keys.error().on;
    log::warning("an upload without a file name cannot be found: the store refuses to list objects",
                 {{"upload", u.id}, {"why", keys.error().on}, {"see", "postern doctor"}});
    co_return why;
  }
  if (!keys) co_return keys.error();
  for (auto& key : *keys) {
    auto named = u;
    named.key = key;
    auto found = co_await examine(std::move(named), std::nullopt);
    if (found) u.key = std::move(key);
    if (found || !store_answered(found.error())) co_return found;
    why = found.error();
  }
  co_return why;
}

task<result<upload>> completer::record(upload u, stored_object found, completion_source source, millis_clock now) {
  co_return co_await recorder_.record(std::move(u), std::move(found), source, now);
}

} // namespace postern
