#include <postern/base/digest.hpp>
#include <postern/base/log.hpp>
#include <postern/flow/direct/abandoned_multiparts.hpp>
#include <postern/flow/direct/direct_multiparts.hpp>
#include <postern/flow/direct/ways.hpp>
#include <postern/flow/issue.hpp>

#include <algorithm>
#include <utility>

namespace postern {

using namespace std::chrono_literals;

namespace {

bool is_stored(const upload& u) { return u.state == upload_state::checking || u.state == upload_state::completed; }

bool is_over(const upload& u) {
  return u.state == upload_state::rejected || u.state == upload_state::removing || u.state == upload_state::removed;
}

failure too_old() {
  return {errc::conflict, "the upload was signed more than " + std::to_string(max_multipart_age.count()) +
                              " days ago, and takes no parts any more; ask for a new upload"};
}

failure sent_through_us() {
  return {errc::conflict, "this upload is being sent through this server, as a resumable one; go on in that way"};
}

failure takes_no_parts(const upload& u) {
  return is_over(u) ? no_longer_possible(u) : failure{errc::conflict, "the upload is stored already"};
}

// That the parts are those that the client names.
result<void> check_etags(const std::vector<object_part>& parts, const std::map<int, std::string>& etags) {
  if (etags.empty()) return {};
  for (const auto& part : parts) {
    const auto named = etags.find(part.number);
    if (named == etags.end() || named->second != part.etag)
      return failure{
          errc::conflict,
          "part " + std::to_string(part.number) + " has the ETag " + quote(part.etag) +
              " in the store, and another one in the request, or none; list the parts, or send this one again"};
  }
  if (etags.size() > parts.size())
    return failure{errc::conflict, "the request names " + std::to_string(etags.size()) + " parts, and the store has " +
                                       std::to_string(parts.size())};
  return {};
}

// The CRC32C of the whole object; nothing unless all parts have theirs.
std::optional<std::uint32_t> checksum_of(const std::vector<object_part>& parts) {
  std::uint32_t sum = 0;
  for (const auto& part : parts) {
    if (!part.crc32c) return std::nullopt;
    sum = crc32c_of_both(sum, *part.crc32c, part.size);
  }
  return sum;
}

} // namespace

struct direct_multiparts::target {
  const profile& rules;
  multipart_store& multiparts;
  presigner& presigns;
  part_plan plan;
};

store_abilities direct_multiparts::abilities_of(const std::string& bucket) const {
  const auto* known = options_.find_store(bucket);
  return known ? known->abilities() : store_abilities{};
}

std::string direct_multiparts::token_of(const std::string& id, millis_clock now) const {
  return own_.sign_upload_token(id, std::chrono::floor<std::chrono::seconds>(now + options_.grace));
}

millis_clock direct_multiparts::due_of(const upload& row, millis_clock now) const {
  return std::max(std::min(now + options_.grace, row.created_at + max_multipart_age), row.expires_at);
}

result<direct_multiparts::target> direct_multiparts::target_of(const upload& row) const {
  const auto rules = options_.profiles.find(row.profile);
  const auto allows = [&](upload_way w) {
    return std::find(rules->second.ways.begin(), rules->second.ways.end(), w) != rules->second.ways.end();
  };
  auto& objects = store_.for_bucket(row.bucket);
  auto* multiparts = objects.as_multipart_store();
  auto* presigns = objects.as_presigner();
  if (rules == options_.profiles.end() || !allows(upload_way::multipart) || !multiparts || !presigns)
    return failure{errc::conflict, "this upload cannot be sent in parts: its profile's ways have no multipart, or its "
                                   "store has no multipart uploads"};
  if (row.min_size != row.max_size)
    return failure{errc::conflict, "the upload was signed without size, so its parts are not known; sign it anew with "
                                   "size and ways"};
  return target{rules->second, *multiparts, *presigns, plan_multipart(row.max_size)};
}

// --- signing ------------------------------------------------------------------------------------------

task<result<started_parts>> direct_multiparts::start(upload row, const target& at, std::vector<asked_part> asked,
                                                     millis_clock now) {
  const auto has_sum = [](const asked_part& p) { return p.crc32c.has_value(); };
  open_multipart m;
  m.id = row.id;
  m.name = {row.bucket, row.key};
  m.way = upload_way::multipart;
  m.plan = at.plan;
  const auto can = abilities_of(row.bucket);
  m.has_checksums =
      can.checks_whole_object && can.preflights_signed_headers && std::all_of(asked.begin(), asked.end(), has_sum);
  for (const auto& part : asked)
    m.bytes = std::max(m.bytes, std::min(at.plan.size, at.plan.part_size * static_cast<std::uint64_t>(part.number)));
  m.created_at = now;
  m.due_at = due_of(row, now);
  auto started = co_await ledger_.start_parts(std::move(m));
  if (started && started->parts.way == upload_way::resumable) co_return sent_through_us();
  if (!started || !started->parts.store_id.empty()) co_return started;
  auto begun = co_await begin_in_store(std::move(row), at, started->parts);
  if (!begun) co_return begun.error();
  started->parts = std::move(*begun);
  co_return started;
}

// Two calls at once may both begin one. The first that is recorded stays; the other is aborted. If a node dies before
// it records its own, that one is aborted with the recorded one, or when that is completed.
task<result<open_multipart>> direct_multiparts::begin_in_store(upload row, target at, open_multipart m) {
  auto meta = meta_for(at.rules, row, upload_way::multipart);
  auto store_id = co_await at.multiparts.begin_multipart(m.name, std::move(meta), m.has_checksums);
  if (!store_id) co_return store_id.error();
  auto named = co_await ledger_.name_multipart(m.id, *store_id);
  if (named && named->store_id == *store_id) co_return named;
  const store_upload surplus{std::move(m.name), std::move(*store_id)};
  auto aborted = co_await at.multiparts.abort_multipart(surplus);
  if (!aborted)
    log::warning("a multipart upload is left in the store", {{"bucket", surplus.name.bucket},
                                                             {"key", quote(surplus.name.key)},
                                                             {"upload_id", quote(surplus.id)},
                                                             {"why", describe(aborted.error())}});
  co_return named;
}

task<result<signed_parts>> direct_multiparts::sign(std::string id, std::vector<asked_part> asked, millis_clock now) {
  auto row = co_await find_issued(ledger_, id, now);
  if (!row) co_return row.error();
  if (is_stored(*row) || is_over(*row)) co_return takes_no_parts(*row);
  const auto at = target_of(*row);
  if (!at) co_return at.error();
  for (const auto& part : asked)
    if (part.number > at->plan.count())
      co_return failure{errc::bad_request, "there is no part " + std::to_string(part.number) + ": the file has " +
                                               std::to_string(at->plan.count()) + " parts"};
  if (due_of(*row, now) <= now) co_return too_old();
  auto started = co_await start(std::move(*row), *at, asked, now);
  if (!started) co_return started.error();
  const auto& m = started->parts;
  const bool signs_size = abilities_of(m.name.bucket).preflights_signed_headers; // else only the completion looks at it
  signed_parts made;
  for (const auto& part : asked) {
    if (m.has_checksums && !part.crc32c)
      co_return failure{errc::bad_request, "the checksum of part " + std::to_string(part.number) +
                                               " is missing: this upload was begun with the CRC32C of each part"};
    signed_body body;
    if (signs_size) body.size = m.plan.length(part.number);
    if (m.has_checksums) body.headers.emplace_back("x-amz-checksum-crc32c", crc32c_base64(*part.crc32c));
    auto signing = at->presigns.presign_part(m.name, m.store_id, part.number, std::move(body), url_lifetime);
    auto url = co_await std::move(signing);
    if (!url) co_return url.error();
    made.parts.push_back({part.number, std::move(*url)});
  }
  made.needs_checksums = m.has_checksums;
  made.token = token_of(id, now);
  co_return made;
}

// --- what the store has ---------------------------------------------------------------------------------

task<result<listed_parts>> direct_multiparts::list(std::string id, millis_clock now) {
  auto row = co_await find_issued(ledger_, id, now);
  if (!row) co_return row.error();
  if (is_stored(*row) || is_over(*row)) co_return takes_no_parts(*row);
  if (due_of(*row, now) <= now) co_return too_old();
  const auto at = target_of(*row);
  if (!at) co_return at.error();
  listed_parts all{at->plan, {}, false, token_of(id, now)};
  auto m = co_await ledger_.find_multipart(id);
  if (!m && m.error().code != errc::not_found) co_return m.error();
  if (m && m->way == upload_way::resumable) co_return sent_through_us();
  if (!m || m->store_id.empty()) co_return all;
  store_upload named{m->name, m->store_id};
  auto parts = co_await at->multiparts.list_parts(std::move(named));
  all.needs_checksums = m->has_checksums;
  if (parts) all.parts = std::move(*parts);
  if (!parts && parts.error().code != errc::object_absent) co_return parts.error();
  if (!parts) { // completed, and the answer was lost; or aborted by another hand, such as a lifecycle rule
    auto done = co_await complete(id, {}, now);
    if (done) co_return takes_no_parts(*done);
    if (!store_answered(done.error())) co_return done.error();
    all.needs_checksums = false;
    ledger_.end_multipart(id, m->store_id); // it can begin anew
    co_return all;
  }
  if (m->due_at <= now) co_return all; // to be aborted: the client stayed away, or another way was faster
  m->due_at = due_of(*row, now);
  auto kept = co_await ledger_.start_parts(std::move(*m));
  if (!kept) co_return kept.error();
  co_return all;
}

// --- the end --------------------------------------------------------------------------------------------

// Returns the row of the multipart upload that is completed now.
task<result<open_multipart>> direct_multiparts::complete_in_store(upload row, target at,
                                                                  std::map<int, std::string> etags) {
  auto m = co_await ledger_.find_multipart(row.id);
  if (!m && m.error().code != errc::not_found) co_return m.error();
  if (m && m->way == upload_way::resumable) co_return sent_through_us();
  if (!m || m->store_id.empty()) co_return failure{errc::object_absent, "no part of this upload was sent"};
  const store_upload named{m->name, m->store_id};
  auto parts = co_await at.multiparts.list_parts(named);
  if (!parts) co_return parts.error();
  std::map<int, std::uint64_t> lengths;
  for (const auto& part : *parts) lengths.emplace(part.number, part.size);
  if (auto whole = check_parts(m->plan, lengths); !whole) co_return whole.error();
  if (auto same = check_etags(*parts, etags); !same) co_return same.error();
  multipart_rules rules;
  rules.never_overwrite = !at.rules.overwrite && abilities_of(row.bucket).takes_if_none_match;
  if (m->has_checksums) rules.crc32c = checksum_of(*parts);
  auto etag = co_await at.multiparts.complete_multipart(named, std::move(*parts), rules);
  if (!etag) co_return etag.error();
  co_return m;
}

task<result<upload>> direct_multiparts::complete(std::string id, std::map<int, std::string> etags, millis_clock now) {
  auto row = co_await find_issued(ledger_, id, now);
  if (!row) co_return row.error();
  if (is_stored(*row)) co_return row;
  if (is_over(*row)) co_return takes_no_parts(*row);
  const auto at = target_of(*row);
  if (!at) co_return at.error();
  auto completed = co_await complete_in_store(*row, *at, std::move(etags));
  // There is no such upload, parts are missing, or an object has its name: an earlier call whose answer was lost, or
  // another way, may have made the object.
  const auto may_be_ours = [](errc code) { return code == errc::object_absent || code == errc::conflict; };
  if (!completed && !may_be_ours(completed.error().code)) co_return completed.error();
  auto found = co_await completer_.examine(*row, std::nullopt);
  if (!found && !completed && store_answered(found.error())) co_return completed.error();
  if (!found) co_return found.error();
  auto recorded = co_await completer_.record(std::move(*row), std::move(*found), completion_source::redirect, now);
  if (recorded) co_await remove_leftovers(at->multiparts, std::move(completed), std::move(id), now);
  co_return recorded;
}

// What a recorded upload left in the store: a second multipart upload, if the answer to the first beginning was lost;
// or all parts, if another way made the object.
task<> direct_multiparts::remove_leftovers(multipart_store& parts, result<open_multipart> completed, std::string id,
                                           millis_clock now) {
  if (completed) {
    auto ended = co_await abort_unnamed(parts, ledger_, *completed, now);
    if (ended) co_return ledger_.end_multipart(std::move(id), std::move(completed->store_id));
  }
  ledger_.keep_multiparts({std::move(id)}, now); // abandoned, and looked at again
}

task<result<upload>> direct_multiparts::abort(std::string id, millis_clock now) {
  auto row = co_await find_issued(ledger_, id, now);
  if (!row) co_return row.error();
  if (is_stored(*row)) co_return takes_no_parts(*row);
  auto m = co_await ledger_.find_multipart(id);
  if (!m && m.error().code != errc::not_found) co_return m.error();
  auto* parts = store_.for_bucket(row->bucket).as_multipart_store();
  if (m && m->way == upload_way::resumable) co_return sent_through_us();
  if (!m || !parts) co_return row;
  if (m->store_id.empty() && m->created_at + max_beginning > now) {
    // Another call is beginning it. Aborted now, it would be recorded all the same, so the sweep does it.
    ledger_.keep_multiparts({id}, m->created_at + max_beginning);
    co_return row;
  }
  auto aborted = co_await abort_with_unnamed(*parts, ledger_, *m, now);
  if (!aborted) co_return aborted.error();
  ledger_.end_multipart(id, std::move(m->store_id));
  co_return co_await ledger_.find(id);
}

} // namespace postern
