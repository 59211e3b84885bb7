// A store and a ledger in memory, for tests of flows. They return what was stored in them and have no rules of their
// own.
#pragma once

#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>

namespace postern::test {

struct fake_store final : store {
  std::map<std::string, stored_object> objects; // by bucket/key
  std::map<std::string, std::string> contents;  // what sinks wrote, by bucket/key
  std::optional<failure> broken, lost;          // lost: what check answers
  std::set<std::string> silent_buckets;         // as if their store gave no answer
  int heads = 0, opened = 0, abandoned = 0, writes = 0;
  int fails_at_write = -1; // counted from 0 over all sinks
  bool fails_at_finish = false;
  std::optional<expected_size> expected; // by the last open
  multipart_store* parts = nullptr;      // further powers, see fake_parts
  presigner* signs = nullptr;
  resumable_store* keeps = nullptr; // see fake_kept
  resumable_store* as_resumable_store() override { return keeps; }
  multipart_store* as_multipart_store() override { return parts; }
  presigner* as_presigner() override { return signs; }
  std::function<task<>()> before_write; // awaited ahead of each write

  struct fake_sink final : sink {
    fake_sink(fake_store& s, std::string at, object_meta m) : in(s), where(std::move(at)), meta(std::move(m)) {}
    fake_store& in;
    std::string where, bytes;
    object_meta meta;
    task<result<void>> write(std::span<const char> b) override {
      if (in.before_write) co_await in.before_write();
      if (in.writes++ == in.fails_at_write) co_return failure(errc::store_failed, "write");
      bytes.append(b.data(), b.size());
      co_return result<void>{};
    }
    task<result<stored_object>> finish() override {
      if (in.fails_at_finish) co_return failure(errc::store_failed, "finish");
      in.contents[where] = bytes;
      stored_object o;
      o.size = bytes.size();
      o.etag = "etag";
      o.meta = meta;
      in.objects[where] = o;
      co_return o;
    }
    task<> abandon() override {
      ++in.abandoned;
      co_return;
    }
  };

  task<result<std::unique_ptr<sink>>> open(object_name n, object_meta m, std::optional<expected_size> size,
                                           allowance*) override {
    ++opened;
    expected = size;
    if (broken) co_return *broken;
    co_return std::make_unique<fake_sink>(*this, n.bucket + "/" + n.key, std::move(m));
  }
  std::uint64_t max_memory() const override { return 0; }
  task<result<stored_object>> head(object_name n) override {
    ++heads;
    if (broken) co_return *broken;
    if (silent_buckets.contains(n.bucket)) co_return failure(errc::unavailable, "no answer");
    const auto found = objects.find(n.bucket + "/" + n.key);
    if (found == objects.end()) co_return failure(errc::object_absent, n.key);
    co_return found->second;
  }
  task<result<void>> check() override {
    if (lost) co_return *lost;
    co_return result<void>{};
  }
  int lists = 0;
  std::optional<failure> refuses_lists;
  task<result<std::vector<std::string>>> list(std::string bucket, std::string prefix, std::size_t max) override {
    ++lists;
    if (broken) co_return *broken;
    if (refuses_lists) co_return *refuses_lists;
    std::vector<std::string> keys;
    for (const auto& [name, object] : objects)
      if (name.starts_with(bucket + "/" + prefix) && keys.size() < max) keys.push_back(name.substr(bucket.size() + 1));
    co_return keys;
  }
  task<result<std::string>> read_some(object_name n, std::string etag, std::uint64_t offset, std::size_t max) override {
    auto found = co_await matching(n, etag);
    if (!found) co_return found.error();
    const std::string& bytes = contents[n.bucket + "/" + n.key];
    co_return offset < bytes.size() ? bytes.substr(offset, max) : std::string{};
  }
  task<result<stored_object>> copy(object_name from, std::string etag, object_name to) override {
    auto found = co_await matching(from, etag);
    if (!found) co_return found.error();
    contents[to.bucket + "/" + to.key] = contents[from.bucket + "/" + from.key];
    found->etag = "copy-" + etag;
    objects[to.bucket + "/" + to.key] = *found;
    co_return *found;
  }
  task<result<void>> remove(object_name n) override {
    objects.erase(n.bucket + "/" + n.key);
    co_return result<void>{};
  }
  task<result<void>> remove_if_match(object_name n, std::string etag) override {
    auto found = co_await matching(n, etag);
    if (!found && found.error().code != errc::object_absent) co_return found.error();
    objects.erase(n.bucket + "/" + n.key);
    co_return result<void>{};
  }
  task<result<stored_object>> matching(object_name n, std::string etag) {
    if (broken) co_return *broken;
    const auto found = objects.find(n.bucket + "/" + n.key);
    if (found == objects.end()) co_return failure(errc::object_absent, n.key);
    if (found->second.etag != etag) co_return failure(errc::conflict, n.key);
    co_return found->second;
  }
};

struct fake_ledger : ledger {
  mutable std::map<std::string, upload> rows;
  std::optional<failure> broken;
  int confirmed = 0, failed = 0, flushes = 0;
  bool refuses_confirm = false;
  std::string confirmed_key; // not empty: the upload is completed under this key already
  completion last;

  void issue(upload u) override { rows.emplace(u.id, u); }
  std::optional<failure> over_quota; // what reserve answers
  quota reserved_under;              // of the last reserve
  quota_usage usage;
  task<result<void>> reserve(upload u, quota limits) override {
    if (broken) co_return *broken;
    reserved_under = limits;
    if (over_quota) co_return *over_quota;
    rows.emplace(u.id, u);
    co_return result<void>{};
  }
  std::map<std::string, std::optional<std::uint64_t>> settled; // by id
  task<result<void>> settle(std::string id, std::optional<std::uint64_t> stored) override {
    if (broken) co_return *broken;
    settled[id] = stored;
    co_return result<void>{};
  }
  std::map<std::string, open_multipart> multiparts; // by id
  task<result<started_parts>> start_parts(open_multipart m) override {
    if (broken) co_return *broken;
    const auto row = rows.find(m.id);
    if (row == rows.end()) co_return failure(errc::not_found, m.id);
    row->second.state = upload_state::receiving;
    auto& parts = multiparts.emplace(m.id, m).first->second;
    parts.due_at = m.due_at;
    parts.bytes = std::max(parts.bytes, m.bytes);
    if (!parts.length) parts.length = m.length;
    co_return started_parts{row->second, parts};
  }
  task<result<void>> begin_multipart(open_multipart m) override {
    if (broken) co_return *broken;
    multiparts[m.id] = m;
    co_return result<void>{};
  }
  task<result<open_multipart>> name_multipart(std::string id, std::string store_id) override {
    if (broken) co_return *broken;
    const auto found = multiparts.find(id);
    if (found == multiparts.end()) co_return failure(errc::not_found, id);
    if (found->second.store_id.empty()) found->second.store_id = store_id;
    co_return found->second;
  }
  task<result<open_multipart>> take_turn(std::string id, std::string holder, millis_clock now,
                                         millis_clock until) override {
    if (broken) co_return *broken;
    const auto found = multiparts.find(id);
    if (found == multiparts.end()) co_return failure(errc::not_found, id);
    auto& m = found->second;
    const bool is_free = m.holder.empty() || m.holder == holder || m.held_until <= now;
    m.wanted_by = is_free ? "" : holder;
    if (is_free) m.holder = holder, m.held_until = until;
    co_return m;
  }
  task<result<open_multipart>> keep_turn(std::string id, std::string holder, kept_bytes kept, millis_clock until,
                                         millis_clock due_at) override {
    if (broken) co_return *broken;
    const auto found = multiparts.find(id);
    if (found == multiparts.end() || found->second.holder != holder) co_return failure(errc::conflict, id);
    auto& m = found->second;
    m.kept = kept;
    m.held_until = until;
    m.due_at = due_at;
    if (until == millis_clock{}) m.holder.clear();
    co_return m;
  }
  void keep_multiparts(std::vector<std::string> ids, millis_clock due_at) override {
    for (const auto& id : ids)
      if (const auto found = multiparts.find(id); found != multiparts.end()) found->second.due_at = due_at;
  }
  void end_multipart(std::string id, std::optional<std::string> store_id) override {
    const auto found = multiparts.find(id);
    if (found != multiparts.end() && store_id.value_or(found->second.store_id) == found->second.store_id)
      multiparts.erase(found);
  }
  task<result<std::vector<open_multipart>>> lease_due_multiparts(millis_clock now, millis_clock until, std::size_t max,
                                                                 bucket_names without) override {
    if (broken) co_return *broken;
    std::vector<open_multipart> due;
    for (auto& [id, m] : multiparts)
      if (m.due_at <= now && due.size() < max && !without.contains(m.name.bucket)) {
        due.push_back(m);
        m.due_at = until;
      }
    co_return due;
  }
  task<result<std::vector<open_multipart>>> list_multiparts(object_name name) override {
    if (broken) co_return *broken;
    std::vector<open_multipart> all;
    for (const auto& [id, m] : multiparts)
      if (m.name.key == name.key && m.name.bucket == name.bucket) all.push_back(m);
    co_return all;
  }
  task<result<open_multipart>> find_multipart(std::string id) override {
    if (broken) co_return *broken;
    const auto found = multiparts.find(id);
    if (found == multiparts.end()) co_return failure(errc::not_found, id);
    co_return found->second;
  }
  task<result<multipart_totals>> count_multiparts() override {
    if (broken) co_return *broken;
    co_return multipart_totals{multiparts.size(), 0};
  }
  task<result<quota_usage>> find_usage(std::string, std::string, std::int64_t) override {
    if (broken) co_return *broken;
    co_return usage;
  }
  std::map<std::string, std::string> attempts; // the newest of each upload, by id
  int broken_off = 0;
  task<result<upload>> reserve_key(upload u, std::string signed_key, std::string attempt) override {
    if (broken) co_return *broken;
    auto& row = rows.emplace(u.id, u).first->second;
    if (row.key != u.key && (row.key != signed_key || row.state == upload_state::completed))
      co_return failure(errc::conflict, "another name");
    row.key = u.key;
    if (row.state != upload_state::completed) row.state = upload_state::receiving;
    attempts[u.id] = attempt;
    co_return row;
  }
  void start_receiving(upload u, std::string attempt) override {
    rows.emplace(u.id, u).first->second.state = upload_state::receiving;
    attempts[u.id] = attempt;
  }
  task<result<void>> break_off(std::string id, std::string attempt) override {
    ++broken_off;
    if (attempts[id] == attempt) rows.at(id).state = upload_state::issued;
    co_return result<void>{};
  }
  task<result<confirmation>> confirm(completion c) override {
    if (broken) co_return *broken;
    if (refuses_confirm) co_return failure(errc::unavailable, "confirm");
    ++confirmed;
    last = c;
    auto& row = rows.emplace(c.of.id, c.of).first->second;
    const bool is_open = row.state == upload_state::completed || may_follow(row.state, upload_state::checking);
    if (!is_open) co_return confirmation{row, false};
    if (c.needs_verdict && row.state != upload_state::completed) {
      row.state = upload_state::checking;
      row.size = c.size;
      row.etag = c.etag;
      row.final_key = c.final_key;
      row.completed_by = c.by;
      row.stored_at = verdicts[c.of.id] = c.at;
      co_return confirmation{row, true};
    }
    const bool is_new = row.state != upload_state::completed;
    if (!is_new && row.etag != c.etag) {
      if (c.is_current) row.overwritten_etag = c.etag;
      co_return confirmation{row, false};
    }
    row.state = upload_state::completed;
    row.key = confirmed_key.empty() ? c.of.key : confirmed_key;
    row.size = c.size;
    row.etag = c.etag;
    row.completed_by = c.by;
    row.claim_until = c.claim_until;
    co_return confirmation{row, is_new};
  }
  task<result<upload>> fail(upload u, std::string attempt, std::string code, millis_clock) override {
    if (broken) co_return *broken;
    ++failed;
    auto& row = rows.emplace(u.id, u).first->second;
    if (!attempt.empty() && attempts[u.id] != attempt) co_return row;
    if (row.state != upload_state::issued && row.state != upload_state::receiving) co_return row;
    row.state = upload_state::failed;
    row.failed_because = code;
    co_return row;
  }
  void record_progress(std::vector<std::pair<std::string, std::uint64_t>> received, millis_clock) override {
    for (const auto& [id, bytes] : received)
      if (const auto found = rows.find(id); found != rows.end()) found->second.received = bytes;
  }
  std::map<std::string, std::map<std::string, std::uint64_t>> taken; // by id and node
  std::size_t largest_exchange = 0, exchanges = 0;
  task<result<std::vector<rate_count>>> exchange_rates(std::string node, std::vector<rate_count> counts,
                                                       millis_clock) override {
    if (broken) co_return *broken;
    ++exchanges;
    largest_exchange = std::max(largest_exchange, counts.size());
    std::vector<rate_count> others;
    for (const auto& [id, n] : counts) {
      taken[id][node] += n;
      rate_count sum{id, 0};
      for (const auto& [who, all] : taken[id]) sum.taken += who == node ? 0 : all;
      others.push_back(sum);
    }
    co_return others;
  }
  std::map<std::string, millis_clock> checks; // by id
  task<result<upload>> check_later(upload u, millis_clock at) override {
    if (broken) co_return *broken;
    const auto& row = rows.emplace(u.id, u).first->second;
    if (row.state != upload_state::completed) checks[u.id] = at;
    co_return row;
  }
  task<result<std::vector<upload>>> lease_due_checks(millis_clock now, millis_clock leased_until, std::size_t max,
                                                     bucket_names without) override {
    if (broken) co_return *broken;
    std::vector<upload> due;
    for (auto& [id, at] : checks)
      if (at <= now && due.size() < max && !without.contains(rows.at(id).bucket))
        due.push_back(rows.at(id)), at = leased_until;
    co_return due;
  }
  task<result<std::vector<upload>>> lease_due_probes(millis_clock now, millis_clock leased_until, std::size_t max,
                                                     bucket_names without) override {
    if (broken) co_return *broken;
    std::vector<upload> due;
    for (auto& [id, at] : checks) {
      const auto& row = rows.at(id);
      const bool is_probed = row.expires_at > now && may_follow(row.state, upload_state::completed);
      if (at <= now && due.size() < max && is_probed && !without.contains(row.bucket))
        due.push_back(row), at = leased_until;
    }
    co_return due;
  }
  task<result<upload>> expire(std::string id, millis_clock) override {
    if (broken) co_return *broken;
    const auto found = rows.find(id);
    if (found == rows.end()) co_return failure(errc::not_found, id);
    checks.erase(id);
    if (may_follow(found->second.state, upload_state::expired)) found->second.state = upload_state::expired;
    co_return found->second;
  }
  task<result<std::vector<upload>>> lease_due_verdicts(millis_clock now, millis_clock leased_until,
                                                       std::size_t max) override {
    if (broken) co_return *broken;
    std::vector<upload> due;
    for (auto& [id, at] : verdicts)
      if (at <= now && due.size() < max) due.push_back(rows.at(id)), at = leased_until;
    co_return due;
  }
  std::map<std::string, millis_clock> verdicts; // when each is due, by id
  task<result<void>> postpone_verdict(std::string id, millis_clock at, bool has_failed) override {
    if (broken) co_return *broken;
    verdicts[id] = at;
    rows.at(id).asked += has_failed ? 1 : 0;
    co_return result<void>{};
  }
  task<result<upload>> accept(std::string id, std::string etag, millis_clock leased_until) override {
    if (broken) co_return *broken;
    auto& row = rows.at(id);
    if (row.state == upload_state::completed) co_return row;
    if (row.state != upload_state::checking || (!etag.empty() && etag != row.etag))
      co_return failure(errc::conflict, "not checking");
    row.is_accepted = true;
    verdicts[id] = leased_until;
    co_return row;
  }
  task<result<upload>> check_again(std::string id, stored_object found, millis_clock at) override {
    if (broken) co_return *broken;
    auto& row = rows.at(id);
    row.etag = found.etag;
    row.size = found.size;
    row.is_accepted = false;
    row.asked = 0;
    row.stored_at = verdicts[id] = at;
    co_return row;
  }
  task<result<confirmation>> finish_accepting(std::string id, std::string etag, millis_clock at,
                                              std::optional<millis_clock> claim_until) override {
    if (broken) co_return *broken;
    auto& row = rows.at(id);
    verdicts.erase(id);
    row.state = upload_state::completed;
    row.form_key = row.key;
    row.key = row.final_key;
    row.etag = etag;
    row.completed_at = at;
    row.claim_until = claim_until;
    co_return confirmation{row, true};
  }
  task<result<confirmation>> reject(std::string id, std::string etag, std::string reason, millis_clock,
                                    bool is_gone) override {
    if (broken) co_return *broken;
    auto& row = rows.at(id);
    if (row.state == upload_state::rejected) co_return confirmation{row, false};
    if (row.state != upload_state::checking || (row.is_accepted && !is_gone) || (!etag.empty() && etag != row.etag))
      co_return failure(errc::conflict, "not checking");
    verdicts.erase(id);
    row.state = upload_state::rejected;
    row.reason = reason;
    co_return confirmation{row, true};
  }
  task<result<upload>> claim_upload(std::string id, std::string reference, millis_clock at) override {
    if (broken) co_return *broken;
    const auto found = rows.find(id);
    if (found == rows.end()) co_return failure(errc::not_found, id);
    auto& row = found->second;
    if (row.state != upload_state::completed) co_return failure(errc::conflict, "not completed");
    if (row.claimed_at && row.claimed_as != reference) co_return failure(errc::conflict, "claimed");
    row.claimed_at = at;
    row.claimed_as = reference;
    row.claim_until.reset();
    co_return row;
  }
  task<result<upload>> start_removing(std::string id, millis_clock leased_until) override {
    if (broken) co_return *broken;
    const auto found = rows.find(id);
    if (found == rows.end()) co_return failure(errc::not_found, id);
    auto& row = found->second;
    if (row.state == upload_state::removing || row.state == upload_state::removed) co_return row;
    if (row.state != upload_state::completed) co_return failure(errc::conflict, "not completed");
    row.state = upload_state::removing;
    checks[id] = leased_until;
    co_return row;
  }
  task<result<std::vector<upload>>> start_removing_unclaimed(millis_clock now, millis_clock leased_until,
                                                             std::size_t max, bucket_names without) override {
    if (broken) co_return *broken;
    std::vector<upload> started;
    for (auto& [id, row] : rows)
      if (row.state == upload_state::completed && row.claim_until && *row.claim_until <= now && started.size() < max &&
          !without.contains(row.bucket)) {
        row.state = upload_state::removing;
        row.claim_until.reset();
        checks[id] = leased_until;
        started.push_back(row);
      }
    co_return started;
  }
  task<result<upload>> finish_removing(std::string id, millis_clock at) override {
    if (broken) co_return *broken;
    auto& row = rows.at(id);
    checks.erase(id);
    row.state = upload_state::removed;
    row.removed_at = at;
    co_return row;
  }
  std::map<std::string, webhook> messages; // by id
  std::vector<std::string> stopped;
  task<result<std::vector<webhook>>> lease_due_webhooks(millis_clock now, millis_clock leased_until,
                                                        std::vector<webhook_demand>) override {
    if (broken) co_return *broken;
    std::vector<webhook> due;
    for (auto& [id, m] : messages)
      if (!m.is_dead && m.due_at <= now) due.push_back(m), m.due_at = leased_until;
    co_return due;
  }
  task<result<void>> record_delivery(std::string id) override {
    if (broken) co_return *broken;
    messages.erase(id);
    co_return result<void>{};
  }
  task<result<void>> record_failed_delivery(std::string id, std::string why,
                                            std::optional<millis_clock> again) override {
    if (broken) co_return *broken;
    if (const auto found = messages.find(id); found != messages.end()) {
      auto& m = found->second;
      ++m.tries, m.last_error = why, m.is_dead = !again, m.due_at = again.value_or(millis_clock{});
    }
    co_return result<void>{};
  }
  task<result<std::size_t>> expire_webhooks(std::string, millis_clock, std::string) override {
    co_return std::size_t{0};
  }
  task<result<void>> stop_endpoint(std::string url, std::string why) override {
    if (broken) co_return *broken;
    stopped.push_back(url);
    for (auto& [id, m] : messages)
      if (m.url == url) m.is_dead = true, m.last_error = why;
    co_return result<void>{};
  }
  task<result<std::vector<webhook>>> list_webhooks(webhook_filter) override {
    std::vector<webhook> all;
    for (const auto& [id, m] : messages) all.push_back(m);
    co_return all;
  }
  task<result<std::size_t>> retry_webhooks(std::vector<std::string>, millis_clock) override {
    co_return std::size_t{0};
  }
  task<result<std::size_t>> purge_webhooks(std::vector<std::string>) override { co_return std::size_t{0}; }
  task<result<std::optional<millis_clock>>> oldest_webhook() override { co_return std::optional<millis_clock>(); }
  std::set<std::string> handled; // ids of messages
  task<result<bool>> has_message(std::string id, millis_clock) override {
    if (broken) co_return *broken;
    co_return handled.contains(id);
  }
  task<result<void>> note_message(std::string id, millis_clock) override {
    if (broken) co_return *broken;
    handled.insert(id);
    co_return result<void>{};
  }
  std::map<std::string, millis_clock> secrets; // when a node signed last, by fingerprint
  task<result<void>> note_secret(std::string fingerprint, millis_clock now) override {
    if (broken) co_return *broken;
    secrets[fingerprint] = now;
    co_return result<void>{};
  }
  task<result<std::vector<std::string>>> list_secrets(millis_clock since) override {
    if (broken) co_return *broken;
    std::vector<std::string> recent;
    for (const auto& [fingerprint, used_at] : secrets)
      if (used_at >= since) recent.push_back(fingerprint);
    co_return recent;
  }
  task<result<std::size_t>> purge_uploads(millis_clock, std::size_t) override { co_return std::size_t{0}; }
  task<result<upload>> find(std::string id) override {
    if (broken) co_return *broken;
    const auto found = rows.find(id);
    if (found == rows.end()) co_return failure(errc::not_found, id);
    co_return found->second;
  }
  task<result<std::vector<upload>>> find_all(std::vector<std::string> ids) override {
    if (broken) co_return *broken;
    std::vector<upload> found;
    for (const auto& id : ids)
      if (const auto row = rows.find(id); row != rows.end()) found.push_back(row->second);
    co_return found;
  }
  task<result<std::vector<upload>>> list(upload_filter) override { co_return std::vector<upload>{}; }
  task<result<void>> flush() override {
    ++flushes;
    if (broken) co_return *broken;
    co_return result<void>{};
  }
};

} // namespace postern::test
