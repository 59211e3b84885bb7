// What every ledger must do about its work: checks of the store, webhooks, purging.
#pragma once

#include "ledger_contract.hpp"
#include <postern/base/json.hpp>
#include <postern/base/uuid.hpp>

#include <algorithm>

namespace postern::test {

inline ledger_options telling(std::vector<webhook_endpoint> endpoints) {
  ledger_options o;
  o.endpoints = std::move(endpoints);
  return o;
}

inline std::vector<webhook> messages(ledger& l, webhook_filter f = {}) { return run_task(l.list_webhooks(f)).value(); }

inline std::vector<std::string> types_of(const std::vector<webhook>& messages) {
  std::vector<std::string> types;
  for (const auto& m : messages) types.push_back(m.type);
  return types;
}

inline std::vector<std::string> ids_of(const std::vector<webhook>& messages) {
  std::vector<std::string> ids;
  for (const auto& m : messages) ids.push_back(m.id);
  return ids;
}

using names = std::vector<std::string>;

// --- checks ------------------------------------------------------------------------------------------

inline names lease_due_checks(ledger& l, std::int64_t now, std::int64_t leased_until, std::size_t max = 100) {
  return ids_of(run_task(l.lease_due_checks(at_second(now), at_second(leased_until), max, {})).value());
}

inline void check_checks(const make_ledger_fn& make) {
  ledger_options o;
  o.grace = std::chrono::seconds(100);
  const auto l = make(o);
  const auto a = some_upload(1), b = some_upload(2), c = some_upload(3), d = some_upload(4), e = some_upload(5);
  l->issue(b); // its policy ends at 902
  l->issue(a);
  l->start_receiving(c, "t1");
  BOOST_TEST(run_task(l->fail(d, "t1", "incomplete_body", at_second(10))).has_value());
  l->issue(e);
  BOOST_TEST(run_task(l->confirm(some_completion(e))).has_value());
  BOOST_TEST(lease_due_checks(*l, 1000, 2000).empty());
  BOOST_TEST(lease_due_checks(*l, 1001, 1001) == names{a.id}); // leased until now: not leased
  BOOST_TEST(lease_due_checks(*l, 1500, 2000, 0).empty());
  BOOST_TEST(lease_due_checks(*l, 1500, 2000, 2) == (names{a.id, b.id}));
  BOOST_TEST(lease_due_checks(*l, 1500, 2001) == (names{c.id, d.id})); // the other two are leased
  BOOST_TEST(lease_due_checks(*l, 1999, 3000).empty());
  BOOST_TEST(lease_due_checks(*l, 2001, 3000) == (names{a.id, b.id, c.id, d.id})); // their leases have ended

  // confirm and expire end the checks.
  BOOST_TEST(run_task(l->confirm(some_completion(a))).has_value());
  BOOST_TEST((run_task(l->expire(b.id, at_second(2500))).value().state == upload_state::expired));
  BOOST_TEST((run_task(l->expire(d.id, at_second(2500))).value().state == upload_state::failed));
  BOOST_TEST(lease_due_checks(*l, 9999, 10000) == names{c.id});

  // Bytes that arrive after that schedule a check again.
  l->start_receiving(b, "t1");
  BOOST_TEST(lease_due_checks(*l, 9999, 10000) == names{b.id});

  // Progress postpones the check.
  l->record_progress({{b.id, 5}}, at_second(20000));
  BOOST_TEST(lease_due_checks(*l, 19999, 20001) == names{c.id});
  BOOST_TEST(lease_due_checks(*l, 20000, 20001) == names{b.id});
}

// With probes, an upload has two kinds of checks, one before its form ends and one after.
inline void check_probes(const make_ledger_fn& make) {
  ledger_options o;
  o.grace = std::chrono::seconds(100);
  o.first_probe = std::chrono::seconds(5);
  const auto l = make(o);
  const auto lease_due_probes = [&](std::int64_t now, std::int64_t until, bucket_names without = {}) {
    return ids_of(run_task(l->lease_due_probes(at_second(now), at_second(until), 100, std::move(without))).value());
  };
  auto a = some_upload(1), b = some_upload(2), done = some_upload(3);
  for (auto* u : {&a, &b, &done}) {
    u->created_at = at_second(10);
    u->expires_at = at_second(910);
    l->issue(*u);
  }
  BOOST_TEST(run_task(l->confirm(some_completion(done))).has_value());
  BOOST_TEST(lease_due_probes(14, 100).empty());
  BOOST_TEST(lease_due_checks(*l, 500, 600).empty()); // these are the probes'
  BOOST_TEST(lease_due_probes(15, 100) == (names{a.id, b.id}));
  BOOST_TEST(lease_due_probes(99, 200).empty()); // leased
  BOOST_TEST(run_task(l->check_later(a, at_second(60))).has_value());
  BOOST_TEST(lease_due_probes(60, 200) == names{a.id});
  BOOST_TEST(lease_due_probes(909, 910) == (names{b.id, a.id}));
  BOOST_TEST(lease_due_probes(910, 999).empty()); // their forms have ended
  BOOST_TEST(lease_due_checks(*l, 911, 999) == (names{a.id, b.id}));
}

inline void check_excluded_buckets(const make_ledger_fn& make) {
  ledger_options o;
  o.grace = std::chrono::seconds(100);
  const auto l = make(o);
  names ids;
  for (const std::string bucket : {"a", "aa", "b_c"}) {
    auto u = some_upload(static_cast<unsigned>(1 + ids.size()));
    u.bucket = bucket;
    l->issue(u);
    ids.push_back(u.id);
  }
  const auto due = [&](bucket_names without) { // leased until now: not leased
    return ids_of(run_task(l->lease_due_checks(at_second(9000), at_second(9000), 100, std::move(without))).value());
  };
  BOOST_TEST(due({}) == ids);
  BOOST_TEST(due({"a"}) == (names{ids[1], ids[2]}));
  BOOST_TEST(due({"aa", "bxc"}) == (names{ids[0], ids[2]}));
  BOOST_TEST(due({"a", "aa"}) == names{ids[2]});
  BOOST_TEST(due({"a", "aa", "b_c"}).empty());
}

inline void check_check_later(const make_ledger_fn& make) {
  const auto l = make({});
  const auto known = some_upload(1), unknown = some_upload(2), done = some_upload(3);
  l->issue(known);
  l->issue(some_upload(9));
  BOOST_TEST(run_task(l->confirm(some_completion(done))).has_value());
  const auto asked = run_task(l->check_later(known, at_second(50))).value();
  check_as_issued(asked, known);
  BOOST_TEST((asked.state == upload_state::issued));
  auto ageless = unknown;
  ageless.created_at = {};
  BOOST_TEST((run_task(l->check_later(ageless, at_second(40))).value().created_at == at_second(40)));
  check_as_completed(run_task(l->check_later(done, at_second(40))).value(), some_completion(done));
  BOOST_TEST(lease_due_checks(*l, 39, 100).empty());
  BOOST_TEST(lease_due_checks(*l, 50, 100) == (names{unknown.id, known.id})); // the longest due first
  BOOST_TEST(lease_due_checks(*l, 99, 200).empty());
  BOOST_TEST(run_task(l->check_later(known, at_second(60))).has_value()); // during the lease, which it ends
  BOOST_TEST(lease_due_checks(*l, 60, 200) == names{known.id});
  BOOST_TEST(run_task(l->check_later(known, at_second(70))).has_value());
  BOOST_TEST(run_task(l->confirm(some_completion(known))).has_value());
  BOOST_TEST(lease_due_checks(*l, 99, 200).empty());
}

inline void check_expire(const make_ledger_fn& make) {
  const auto l = make(telling({{"https://a", {"*"}}}));
  const auto none = run_task(l->expire("no such id", at_second(1)));
  BOOST_TEST((!none && none.error().code == errc::not_found));
  const auto a = some_upload(1), b = some_upload(2);
  l->issue(a);
  for (int n = 0; n < 2; ++n) {
    const auto expired = run_task(l->expire(a.id, at_second(2000 + n))).value();
    BOOST_TEST((expired.state == upload_state::expired));
    check_as_issued(expired, a);
  }
  BOOST_TEST((run_task(l->fail(a, "t1", "x", at_second(2100))).value().state == upload_state::expired));
  BOOST_TEST(types_of(messages(*l)) == names{"upload.expired"});
  check_as_completed(run_task(l->confirm(some_completion(a))).value().row,
                     some_completion(a)); // the object was found later
  check_as_completed(run_task(l->expire(a.id, at_second(9000))).value(), some_completion(a));
  l->start_receiving(b, "t1");
  BOOST_TEST((run_task(l->expire(b.id, at_second(6000))).value().state == upload_state::expired));
  BOOST_TEST(types_of(messages(*l)) == (names{"upload.expired", "upload.completed", "upload.expired"}));
}

// --- webhooks ----------------------------------------------------------------------------------------

// Each change is announced once to each endpoint that subscribes to its type, with the row as recorded.
inline void check_announcements(const make_ledger_fn& make) {
  const auto l =
      make(telling({{"https://a", {"*"}}, {"https://b", {"upload.failed", "upload.expired"}}, {"https://c", {}}}));
  const auto u = some_upload(1);
  const auto check_last = [&](std::size_t of, webhook_type type, const upload& recorded, millis_clock at) {
    const auto all = messages(*l, {.upload_id = u.id, .url = "https://a"});
    BOOST_TEST_REQUIRE(all.size() == of);
    const auto& m = all.back();
    BOOST_TEST(m.type == name_of(type));
    BOOST_TEST(m.payload == webhook_payload(type, recorded, at));
    const auto due = type == webhook_type::overwritten ? at + std::chrono::seconds(1) : at; // waits for the next one
    BOOST_TEST((m.created_at == at && m.due_at == due && m.tries == 0u && !m.is_dead && m.last_error.empty()));
    BOOST_TEST((m.id.starts_with("msg_") && is_uuid(m.id.substr(4))));
  };
  l->issue(u);
  l->start_receiving(u, "t1");
  auto now = run_task(l->fail(u, "t1", "incomplete_body", at_second(10))).value();
  check_last(1, webhook_type::failed, now, at_second(10));
  BOOST_TEST(run_task(l->fail(u, "t1", "timed_out", at_second(11))).value().failed_because == "incomplete_body");
  check_last(1, webhook_type::failed, now, at_second(10)); // no second announcement
  l->start_receiving(u, "t2");
  const auto again = run_task(l->fail(u, "t2", "timed_out", at_second(20))).value();
  BOOST_TEST((again.state == upload_state::failed && again.failed_because == "timed_out"));
  check_last(1, webhook_type::failed, now, at_second(10)); // once an upload, however often it fails

  auto c = some_completion(u);
  now = run_task(l->confirm(c)).value().row;
  check_last(2, webhook_type::completed, now, c.at);
  c.at = at_second(5500);
  BOOST_TEST(run_task(l->confirm(c)).has_value());
  BOOST_TEST(run_task(l->fail(u, "t1", "x", at_second(5600))).has_value());
  check_last(2, webhook_type::completed, now, at_second(5000));
  std::size_t n = 2;
  for (const char* etag : {"e2", "e3", "e2"}) {
    c.etag = etag;
    c.at += std::chrono::seconds(1);
    now = run_task(l->confirm(c)).value().row;
    check_last(++n, webhook_type::overwritten, now, c.at);
    BOOST_TEST(run_task(l->confirm(c)).has_value());
    check_last(n, webhook_type::overwritten, now, c.at);
  }
  BOOST_TEST(types_of(messages(*l, {.url = "https://b"})) == (names{"upload.failed"}));
  BOOST_TEST(messages(*l, {.url = "https://c"}).empty());

  const auto payload = read_json(messages(*l, {.url = "https://a"}).at(1).payload).value();
  BOOST_TEST(*payload.find("type")->if_string() == "upload.completed");
  BOOST_TEST(*payload.find("timestamp")->if_string() == iso8601_millis(at_second(5000)));
  const auto& data = *payload.find("data");
  BOOST_TEST(*data.find("id")->if_string() == u.id);
  BOOST_TEST(*data.find("bucket")->if_string() == u.bucket);
  BOOST_TEST(*data.find("key")->if_string() == u.key);
  BOOST_TEST(*data.find("size")->if_int() == 1234);
  BOOST_TEST(*data.find("etag")->if_string() == "e1");
  BOOST_TEST(*data.find("metadata")->find("order")->if_string() == "42");
}

inline names lease_due_webhooks(ledger& l, std::int64_t now, std::int64_t leased_until, std::size_t max = 100) {
  std::vector<webhook_demand> demands{{"https://a", max}};
  return ids_of(run_task(l.lease_due_webhooks(at_second(now), at_second(leased_until), std::move(demands))).value());
}

// Overwrites within a second are one message, about the newest. A message that was leased is not changed any more.
inline void check_overwrites(const make_ledger_fn& make) {
  using std::chrono::milliseconds;
  const auto l = make(telling({{"https://a", {"upload.overwritten"}}, {"https://b", {"*"}}}));
  auto c = some_completion(some_upload(1));
  BOOST_TEST(run_task(l->confirm(c)).has_value());
  const auto told = [&] { return messages(*l, {.url = "https://a"}); };
  const auto overwrite = [&](std::string etag, millis_clock at) {
    c.etag = std::move(etag), c.at = at;
    return run_task(l->confirm(c)).value().row;
  };
  for (int n = 0; n < 100; ++n) overwrite("a" + std::to_string(n), at_second(6000) + milliseconds(10 * n - 1));
  auto newest = overwrite("a100", at_second(6000) + milliseconds(998));
  BOOST_TEST_REQUIRE(told().size() == 1u);
  BOOST_TEST(told()[0].payload ==
             webhook_payload(webhook_type::overwritten, newest, at_second(6000) + milliseconds(998)));
  const auto other = some_completion(some_upload(2)); // another upload has its own messages
  BOOST_TEST(run_task(l->confirm(other)).has_value());
  overwrite("b", at_second(6001));
  BOOST_TEST(told().size() == 2u);
  BOOST_TEST(lease_due_webhooks(*l, 6001, 6002) == names{told()[0].id});
  overwrite("c", at_second(6001) + milliseconds(1));
  overwrite("d", at_second(6001) + milliseconds(2));
  BOOST_TEST(told().size() == 2u); // one with the second message
  BOOST_TEST(lease_due_webhooks(*l, 6003, 6004).size() == 2u);
  overwrite("e", at_second(6001) + milliseconds(3)); // a clock that is behind
  BOOST_TEST(told().size() == 3u);
  BOOST_TEST(messages(*l, {.url = "https://b"}).size() ==
             4u); // two completions, and two overwrites, which nobody has leased
  // A stopped endpoint keeps one dead letter, too.
  BOOST_TEST(run_task(l->stop_endpoint("https://a", "410")).has_value());
  for (const char* etag : {"f", "g", "h"}) overwrite(etag, at_second(6010));
  BOOST_TEST(told().size() == 4u);
}

// Completions go ahead, and the rest has an eighth of the places.
inline void check_delivery_order(const make_ledger_fn& make) {
  const auto l = make(telling({{"https://a", {"*"}}, {"https://b", {"*"}}}));
  for (unsigned n = 0; n < 40; ++n) BOOST_TEST(run_task(l->fail(some_upload(n), "t1", "x", at_second(n))).has_value());
  for (unsigned n = 100; n < 120; ++n) {
    auto c = some_completion(some_upload(n));
    c.at = at_second(n);
    BOOST_TEST(run_task(l->confirm(c)).has_value());
  }
  const auto leased = [&](std::size_t max) {
    std::vector<webhook_demand> demands{{"https://a", max}};
    return types_of(run_task(l->lease_due_webhooks(at_second(200), at_second(300), std::move(demands))).value());
  };
  names mixed(14, "upload.completed");
  mixed.insert(mixed.end(), 2, "upload.failed");
  BOOST_TEST(leased(16) == mixed);
  mixed.assign(6, "upload.completed");
  mixed.insert(mixed.end(), 10, "upload.failed");
  BOOST_TEST(leased(16) == mixed);
  BOOST_TEST(leased(100).size() == 28u);
  // Nobody has asked for the other endpoint's messages, so they are as they were.
  for (const auto& m : messages(*l, {.url = "https://b"})) BOOST_TEST((m.due_at == m.created_at));
  // The longest silent ones can be buried.
  BOOST_TEST(run_task(l->expire_webhooks("https://b", at_second(10), "silent")).value() == 10u);
  const auto buried = messages(*l, {.is_dead = true});
  BOOST_TEST_REQUIRE(buried.size() == 10u);
  for (const auto& m : buried) BOOST_TEST((m.url == "https://b" && m.last_error == "silent"));
}

inline void confirm_some(ledger& l, unsigned from, unsigned to) {
  for (unsigned n = from; n < to; ++n) {
    auto c = some_completion(some_upload(n));
    c.at = at_second(n);
    BOOST_TEST(run_task(l.confirm(c)).has_value());
  }
}

inline void check_deliveries(const make_ledger_fn& make) {
  const auto l = make(telling({{"https://a", {"*"}}}));
  confirm_some(*l, 10, 14);
  const auto ids = ids_of(messages(*l));
  BOOST_TEST_REQUIRE(ids.size() == 4u);
  BOOST_TEST(lease_due_webhooks(*l, 9, 100).empty());
  BOOST_TEST(lease_due_webhooks(*l, 20, 100, 3) == (names{ids[0], ids[1], ids[2]})); // the longest due first
  BOOST_TEST(lease_due_webhooks(*l, 20, 100) == names{ids[3]});
  BOOST_TEST(lease_due_webhooks(*l, 99, 200).empty());
  BOOST_TEST(run_task(l->record_delivery(ids[0])).has_value());
  BOOST_TEST(run_task(l->record_delivery(ids[0])).has_value());
  BOOST_TEST(run_task(l->record_failed_delivery(ids[0], "gone", std::nullopt)).has_value());
  BOOST_TEST(run_task(l->record_failed_delivery(ids[1], "503", at_second(150))).has_value());
  BOOST_TEST(run_task(l->record_failed_delivery(ids[2], "no luck", std::nullopt)).has_value());
  BOOST_TEST(lease_due_webhooks(*l, 100, 200) == names{ids[3]}); // its lease has ended
  BOOST_TEST(lease_due_webhooks(*l, 150, 200) == names{ids[1]});
  const auto left = messages(*l);
  BOOST_TEST(ids_of(left) == (names{ids[1], ids[2], ids[3]}));
  BOOST_TEST(
      (left[0].tries == 1u && left[0].last_error == "503" && !left[0].is_dead && left[0].due_at == at_second(200)));
  BOOST_TEST((left[1].tries == 1u && left[1].last_error == "no luck" && left[1].is_dead));
  BOOST_TEST((left[2].tries == 0u && left[2].created_at == at_second(13)));
  BOOST_TEST(lease_due_webhooks(*l, 9999, 9999) == (names{ids[1], ids[3]})); // a dead letter is never due

  BOOST_TEST(ids_of(messages(*l, {.is_dead = true})) == names{ids[2]});
  BOOST_TEST(ids_of(messages(*l, {.is_dead = false})) == (names{ids[1], ids[3]}));
  BOOST_TEST(ids_of(messages(*l, {.is_dead = false, .limit = 1})) == names{ids[1]});
  BOOST_TEST(ids_of(messages(*l, {.upload_id = some_upload(13).id})) == names{ids[3]});
  BOOST_TEST(messages(*l, {.is_dead = true, .upload_id = some_upload(13).id}).empty());
  BOOST_TEST(messages(*l, {.url = "https://b"}).empty());
}

inline void check_dead_letters(const make_ledger_fn& make) {
  const auto l = make(telling({{"https://a", {"*"}}, {"https://b", {"*"}}}));
  const auto alive = [&](const char* url) { return messages(*l, {.is_dead = false, .url = url}).size(); };
  const auto dead = [&](const char* url) { return ids_of(messages(*l, {.is_dead = true, .url = url})); };
  confirm_some(*l, 10, 13);
  BOOST_TEST(run_task(l->stop_endpoint("https://a", "410")).has_value());
  BOOST_TEST(run_task(l->stop_endpoint("https://a", "410 again")).has_value());
  confirm_some(*l, 13, 15);
  BOOST_TEST((alive("https://a") == 0u && dead("https://a").size() == 5u && alive("https://b") == 5u));
  BOOST_TEST(run_task(l->purge_webhooks({dead("https://a")[3], dead("https://a")[4]})).value() == 2u);
  const auto ids = dead("https://a");
  // A delivery that was in flight when the endpoint was stopped does not revive its message.
  BOOST_TEST(run_task(l->record_failed_delivery(ids[0], "late", at_second(60))).has_value());
  BOOST_TEST(messages(*l, {.is_dead = true, .limit = 1}).at(0).last_error == "410");

  BOOST_TEST(run_task(l->retry_webhooks({"msg_none"}, at_second(50))).value() == 0u);
  BOOST_TEST(run_task(l->retry_webhooks({ids[1], ids[1]}, at_second(50))).value() == 1u);
  const auto again = messages(*l, {.is_dead = false, .url = "https://a"});
  BOOST_TEST_REQUIRE(again.size() == 1u);
  BOOST_TEST((again[0].id == ids[1] && again[0].due_at == at_second(50) && again[0].tries == 0u));
  confirm_some(*l, 15, 16); // the endpoint is resumed
  BOOST_TEST((alive("https://a") == 2u && dead("https://a").size() == 2u));
  BOOST_TEST(run_task(l->retry_webhooks({}, at_second(51))).value() == 2u);
  BOOST_TEST((alive("https://a") == 4u && dead("https://a").empty()));

  BOOST_TEST(run_task(l->record_failed_delivery(ids[0], "x", std::nullopt)).has_value());
  BOOST_TEST(run_task(l->record_failed_delivery(ids[1], "x", std::nullopt)).has_value());
  BOOST_TEST(run_task(l->record_failed_delivery(ids[2], "x", std::nullopt)).has_value());
  const auto living = messages(*l, {.is_dead = false, .url = "https://a"}).at(0).id;
  BOOST_TEST(run_task(l->purge_webhooks({ids[0], living, "msg_none"})).value() == 1u);
  BOOST_TEST((alive("https://a") == 1u && dead("https://a").size() == 2u));
  BOOST_TEST(run_task(l->purge_webhooks({})).value() == 2u);
  BOOST_TEST((alive("https://a") == 1u && dead("https://a").empty() && alive("https://b") == 6u));

  // A stopped endpoint without dead letters is resumed, too.
  BOOST_TEST(run_task(l->stop_endpoint("https://b", "410")).has_value());
  BOOST_TEST(run_task(l->purge_webhooks({})).value() == 6u);
  confirm_some(*l, 16, 17);
  BOOST_TEST((alive("https://b") == 0u && dead("https://b").size() == 1u));
  BOOST_TEST(messages(*l, {.url = "https://b"}).at(0).last_error == "410");
  BOOST_TEST(run_task(l->retry_webhooks({}, at_second(51))).value() == 1u);
  confirm_some(*l, 17, 18);
  BOOST_TEST(alive("https://b") == 2u);
}

// --- purging ------------------------------------------------------------------------------------------

inline void check_purge(const make_ledger_fn& make) {
  const auto l = make(telling({{"https://a", {"*"}}}));
  l->issue(some_upload(0));
  l->start_receiving(some_upload(1), "t1");
  BOOST_TEST(run_task(l->fail(some_upload(2), "t1", "x", at_second(2))).has_value());
  l->issue(some_upload(3));
  BOOST_TEST(run_task(l->expire(some_upload(3).id, at_second(3))).has_value());
  confirm_some(*l, 4, 10);
  const auto purge = [&](std::int64_t before, std::size_t max = 100) {
    return run_task(l->purge_uploads(at_second(before), max)).value();
  };
  const auto known = [&](unsigned n) { return run_task(l->find(some_upload(n).id)).has_value(); };
  BOOST_TEST(purge(100) == 0u); // each has a message that is due
  const auto all = messages(*l);
  BOOST_TEST_REQUIRE(all.size() == 8u);
  for (std::size_t n = 0; n < 7; ++n) // those of uploads 2 (failed) to 8
    BOOST_TEST((n % 2 ? run_task(l->record_delivery(all[n].id))
                      : run_task(l->record_failed_delivery(all[n].id, "x", std::nullopt)))
                   .has_value());
  BOOST_TEST(purge(5, 1) == 1u);
  BOOST_TEST((!known(2) && known(3))); // the oldest first
  BOOST_TEST(purge(5) == 2u);
  BOOST_TEST((known(0) && known(1) && !known(3) && !known(4) && known(5)));
  BOOST_TEST(messages(*l, {.is_dead = true}).size() == 2u); // those of uploads 6 and 8
  BOOST_TEST(purge(100) == 4u);
  BOOST_TEST((known(0) && known(1) && !known(8) && known(9)));
  BOOST_TEST(ids_of(messages(*l)) == names{all[7].id}); // the message of upload 9 is due
  BOOST_TEST(purge(100) == 0u);
}

inline void check_oldest_webhook(const make_ledger_fn& make) {
  const auto l = make(telling({{"https://a", {"*"}}}));
  const auto oldest = [&] { return run_task(l->oldest_webhook()).value(); };
  BOOST_TEST(!oldest());
  auto first = some_completion(some_upload(1)), second = some_completion(some_upload(2));
  first.at = at_second(10), second.at = at_second(20);
  for (const auto& c : {first, second}) BOOST_TEST(run_task(l->confirm(c)).has_value());
  BOOST_TEST((oldest() == at_second(10)));
  const auto all = messages(*l);
  BOOST_TEST_REQUIRE(all.size() == 2u);
  // A message that waits for its next try keeps its age; a dead letter waits for nothing.
  BOOST_TEST(run_task(l->record_failed_delivery(all[0].id, "x", at_second(5000))).has_value());
  BOOST_TEST((oldest() == at_second(10)));
  BOOST_TEST(run_task(l->record_failed_delivery(all[0].id, "x", std::nullopt)).has_value());
  BOOST_TEST((oldest() == at_second(20)));
  BOOST_TEST(run_task(l->record_delivery(all[1].id)).has_value());
  BOOST_TEST(!oldest());
}

inline void check_secrets(const make_ledger_fn& make) {
  const auto l = make({});
  const auto since = [&](std::int64_t second) { return run_task(l->list_secrets(at_second(second))).value(); };
  BOOST_TEST(since(0).empty());
  BOOST_TEST(run_task(l->note_secret("bbbbbbbb", at_second(10))).has_value());
  BOOST_TEST(run_task(l->note_secret("aaaaaaaa", at_second(20))).has_value());
  BOOST_TEST(since(10) == (names{"aaaaaaaa", "bbbbbbbb"}));
  BOOST_TEST(since(11) == names{"aaaaaaaa"});
  BOOST_TEST(run_task(l->note_secret("bbbbbbbb", at_second(30))).has_value());
  BOOST_TEST(since(21) == names{"bbbbbbbb"});
}

// With calls from several threads at once, each change is announced once and each message leased once.
inline void check_work_at_once(const make_ledger_fn& make) {
  constexpr unsigned threads = 4, uploads = 100;
  const auto l = make(telling({{"https://a", {"*"}}}));
  std::mutex mutex;
  names got;
  const std::vector<webhook_demand> demands{{"https://a", 3}};
  const auto work = [&]() -> task<> {
    for (unsigned n = 0; n < uploads; ++n) (void)co_await l->confirm(some_completion(some_upload(n)));
    for (;;) {
      const auto some = co_await l->lease_due_webhooks(at_second(5000), at_second(9000), demands);
      if (!some || some->empty()) co_return;
      std::lock_guard lock(mutex);
      for (const auto& m : *some) got.push_back(m.upload_id);
    }
  };
  std::vector<std::thread> running;
  for (unsigned who = 0; who < threads; ++who) running.emplace_back([&] { run_task(work()); });
  for (auto& t : running) t.join();
  std::sort(got.begin(), got.end());
  names all;
  for (unsigned n = 0; n < uploads; ++n) all.push_back(some_upload(n).id);
  BOOST_TEST(got == all);
}

inline void check_ledger_work(const make_ledger_fn& make) {
  check_checks(make);
  check_probes(make);
  check_excluded_buckets(make);
  check_check_later(make);
  check_expire(make);
  check_announcements(make);
  check_overwrites(make);
  check_delivery_order(make);
  check_deliveries(make);
  check_dead_letters(make);
  check_purge(make);
  check_oldest_webhook(make);
  check_secrets(make);
  check_work_at_once(make);
}

} // namespace postern::test
