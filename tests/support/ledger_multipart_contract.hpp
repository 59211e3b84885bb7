// What every ledger must do with multipart uploads that are open in a store. The test of each ledger calls
// check_multiparts with a function that makes one.
#pragma once

#include "ledger_contract.hpp"

namespace postern::test {

// The parts of the upload `u`, or, with an id, those that a node sends for it.
inline open_multipart some_parts(const upload& u, millis_clock due_at, const std::string& id = {}) {
  open_multipart m;
  m.id = id.empty() ? u.id : id;
  m.name = {u.bucket, u.key};
  m.way = upload_way::multipart;
  m.plan = plan_multipart(40 << 20);
  m.bytes = 16 << 20;
  m.created_at = at_second(1);
  m.due_at = due_at;
  return m;
}

inline void check_parts_of_a_client(const make_ledger_fn& make) {
  const auto made = make({});
  auto& ledger = *made;
  const auto u = some_upload(1);
  auto m = some_parts(u, at_second(5000));
  BOOST_TEST((run_task(ledger.start_parts(m)).error().code == errc::not_found));
  ledger.issue(u);
  auto started = run_task(ledger.start_parts(m)).value();
  BOOST_TEST((started.row.state == upload_state::receiving && started.row.way == upload_way::multipart));
  BOOST_TEST((started.parts.store_id.empty() && started.parts.plan.part_size == m.plan.part_size));
  BOOST_TEST((started.parts.plan.size == m.plan.size && started.parts.name.key == u.key));

  // The first name stays.
  BOOST_TEST(run_task(ledger.name_multipart(u.id, "one")).value().store_id == "one");
  BOOST_TEST(run_task(ledger.name_multipart(u.id, "two")).value().store_id == "one");
  BOOST_TEST((run_task(ledger.name_multipart(some_upload(9).id, "x")).error().code == errc::not_found));

  // A later call moves the deadline and raises the number of bytes; all else stays.
  m.due_at = at_second(9000);
  m.bytes = 1;
  m.has_checksums = true;
  m.plan.part_size = 7;
  started = run_task(ledger.start_parts(m)).value();
  BOOST_TEST((started.parts.bytes == 16u << 20 && !started.parts.has_checksums && started.parts.store_id == "one"));
  BOOST_TEST((started.parts.due_at == at_second(9000) && started.parts.plan.part_size != 7));
  BOOST_TEST(run_task(ledger.lease_due_checks(at_second(8999), at_second(9999), 10, {})).value().empty());
  const auto totals = run_task(ledger.count_multiparts()).value();
  BOOST_TEST((totals.count == 1 && totals.bytes == 16u << 20));

  ledger.end_multipart(u.id, "of an earlier beginning");
  BOOST_TEST((run_task(ledger.find(u.id)).value().state == upload_state::receiving));
  BOOST_TEST(run_task(ledger.find_multipart(u.id)).value().store_id == "one");

  // Given up, the form can be posted again, and its check is that of the form.
  ledger.end_multipart(u.id, "one");
  BOOST_TEST((run_task(ledger.find(u.id)).value().state == upload_state::issued));
  BOOST_TEST((run_task(ledger.find_multipart(u.id)).error().code == errc::not_found));
  BOOST_TEST(run_task(ledger.lease_due_checks(at_second(8999), at_second(9999), 10, {})).value().size() == 1);
}

// Its form can bring an object as before, and the probe finds it.
inline void check_probes_beside_parts(const make_ledger_fn& make) {
  ledger_options options;
  options.first_probe = std::chrono::seconds(5);
  const auto made = make(options);
  auto& ledger = *made;
  const auto u = some_upload(1);
  ledger.issue(u);
  BOOST_TEST(run_task(ledger.start_parts(some_parts(u, at_second(5000)))).has_value());
  BOOST_TEST(run_task(ledger.lease_due_probes(at_second(10), at_second(20), 10, {})).value().size() == 1);
  ledger.end_multipart(u.id, "");
  BOOST_TEST(run_task(ledger.lease_due_probes(at_second(30), at_second(40), 10, {})).value().size() == 1);
}

inline void check_parts_of_a_completed_upload(const make_ledger_fn& make) {
  const auto made = make({});
  auto& ledger = *made;
  const auto u = some_upload(1);
  ledger.issue(u);
  BOOST_TEST(run_task(ledger.start_parts(some_parts(u, at_second(5000)))).has_value());
  auto c = some_completion(u, "e");
  c.way = upload_way::multipart;
  const auto row = run_task(ledger.confirm(c)).value().row;
  BOOST_TEST((row.state == upload_state::completed && row.way == upload_way::multipart));
  ledger.end_multipart(u.id, "");
  BOOST_TEST((run_task(ledger.find(u.id)).value().state == upload_state::completed));
  BOOST_TEST((run_task(ledger.start_parts(some_parts(u, at_second(5000)))).error().code == errc::conflict));
}

// An earlier fallback upload of the same form decides nothing any more.
inline void check_parts_after_a_fallback_upload(const make_ledger_fn& make) {
  const auto made = make({});
  auto& ledger = *made;
  const auto u = some_upload(1);
  ledger.start_receiving(u, "first attempt");
  BOOST_TEST(run_task(ledger.start_parts(some_parts(u, at_second(5000)))).has_value());
  BOOST_TEST(run_task(ledger.break_off(u.id, "first attempt")).has_value());
  BOOST_TEST(run_task(ledger.fail(u, "first attempt", "incomplete_body", at_second(9))).has_value());
  BOOST_TEST((run_task(ledger.find(u.id)).value().state == upload_state::receiving));
}

// It has given its reservation back.
inline void check_parts_of_an_expired_upload(const make_ledger_fn& make) {
  const auto made = make({});
  auto& ledger = *made;
  const auto u = some_upload(1);
  ledger.issue(u);
  BOOST_TEST(run_task(ledger.expire(u.id, at_second(9000))).has_value());
  BOOST_TEST((run_task(ledger.start_parts(some_parts(u, at_second(9999)))).error().code == errc::conflict));
}

inline void check_a_fallback_upload_after_parts(const make_ledger_fn& make) {
  const auto made = make({});
  auto& ledger = *made;
  const auto u = some_upload(1);
  ledger.issue(u);
  BOOST_TEST(run_task(ledger.start_parts(some_parts(u, at_second(5000)))).has_value());
  ledger.start_receiving(u, "attempt");
  const auto due = run_task(ledger.lease_due_multiparts(at_second(1), at_second(200), 10, {})).value();
  BOOST_TEST(due.size() == 1);
  ledger.end_multipart(u.id, "");
  BOOST_TEST((run_task(ledger.find(u.id)).value().state == upload_state::receiving));
}

inline void check_abandoned_multiparts(const make_ledger_fn& make) {
  const auto made = make({});
  auto& ledger = *made;
  auto u = some_upload(1), other = some_upload(2);
  other.bucket = "other";
  for (const auto& [of, id] : {std::pair(u, "a"), std::pair(u, "b"), std::pair(other, "c")})
    BOOST_TEST(run_task(ledger.begin_multipart(some_parts(of, at_second(100), id))).has_value());
  BOOST_TEST(run_task(ledger.list_multiparts({u.bucket, u.key})).value().size() == 2);
  BOOST_TEST(run_task(ledger.lease_due_multiparts(at_second(99), at_second(200), 10, {})).value().empty());
  ledger.keep_multiparts({"b"}, at_second(150));
  const auto due = run_task(ledger.lease_due_multiparts(at_second(100), at_second(200), 10, {"other"})).value();
  BOOST_REQUIRE(due.size() == 1);
  BOOST_TEST(due[0].id == "a");
  // Leased: nobody else gets it before that time.
  BOOST_TEST(run_task(ledger.lease_due_multiparts(at_second(150), at_second(300), 1, {})).value().size() == 1);
  BOOST_TEST(run_task(ledger.lease_due_multiparts(at_second(150), at_second(300), 10, {})).value().size() == 1);
  BOOST_TEST(run_task(ledger.name_multipart("a", "any")).has_value());
  ledger.end_multipart("a", std::nullopt);
  ledger.end_multipart("a", std::nullopt);
  BOOST_TEST(run_task(ledger.list_multiparts({u.bucket, u.key})).value().size() == 1);
}

inline open_multipart some_resumable(const upload& u, std::optional<std::uint64_t> length) {
  auto m = some_parts(u, at_second(5000));
  m.way = upload_way::resumable;
  m.length = length;
  return m;
}

inline void check_what_is_kept_of_a_resumable_upload(const make_ledger_fn& make) {
  const auto made = make({});
  auto& ledger = *made;
  const auto u = some_upload(1);
  ledger.issue(u);
  BOOST_TEST((run_task(ledger.take_turn(u.id, "a", at_second(1), at_second(9))).error().code == errc::not_found));
  auto started = run_task(ledger.start_parts(some_resumable(u, {}))).value();
  BOOST_TEST((started.row.way == upload_way::resumable && started.parts.way == upload_way::resumable));
  BOOST_TEST((!started.parts.length && started.parts.kept == kept_bytes{}));

  // The length is declared once.
  BOOST_TEST((run_task(ledger.start_parts(some_resumable(u, 77))).value().parts.length == 77u));
  BOOST_TEST((run_task(ledger.start_parts(some_resumable(u, 78))).value().parts.length == 77u));
  BOOST_TEST((run_task(ledger.start_parts(some_resumable(u, {}))).value().parts.length == 77u));

  BOOST_TEST(run_task(ledger.take_turn(u.id, "a", at_second(1), at_second(9))).value().holder == "a");
  const kept_bytes kept{50'000'000'000, 0xffffffff};
  auto row = run_task(ledger.keep_turn(u.id, "a", kept, at_second(20), at_second(6000))).value();
  BOOST_TEST((row.kept == kept && row.held_until == at_second(20) && row.due_at == at_second(6000)));
  BOOST_TEST(row.wanted_by.empty());
  BOOST_TEST((run_task(ledger.find_multipart(u.id)).value().kept == kept));
  BOOST_TEST(run_task(ledger.count_multiparts()).value().bytes == kept.size);
}

inline void check_turns_at_a_resumable_upload(const make_ledger_fn& make) {
  const auto made = make({});
  auto& ledger = *made;
  const auto u = some_upload(1);
  ledger.issue(u);
  BOOST_TEST(run_task(ledger.start_parts(some_resumable(u, 100))).has_value());
  const auto take = [&](const std::string& who, int now, int until) {
    return run_task(ledger.take_turn(u.id, who, at_second(now), at_second(until))).value();
  };
  const auto keep = [&](const std::string& who, std::uint64_t size, millis_clock until) {
    return run_task(ledger.keep_turn(u.id, who, {size, 1}, until, at_second(5000)));
  };
  BOOST_TEST(take("a", 1, 10).holder == "a");
  BOOST_TEST(take("a", 2, 11).holder == "a"); // the call was repeated
  const auto refused = take("b", 3, 12);
  BOOST_TEST((refused.holder == "a" && refused.held_until == at_second(11)));
  BOOST_TEST(keep("a", 5, at_second(20)).value().wanted_by == "b");
  BOOST_TEST((keep("b", 6, at_second(20)).error().code == errc::conflict));

  // Let go, it is free at once, and nobody waits any more.
  BOOST_TEST(keep("a", 7, {}).value().holder.empty());
  const auto taken = take("b", 4, 14);
  BOOST_TEST((taken.holder == "b" && taken.wanted_by.empty() && taken.kept.size == 7));
  BOOST_TEST((keep("a", 8, at_second(20)).error().code == errc::conflict));

  // A holder that has died loses it when its time is over.
  BOOST_TEST(take("c", 13, 30).holder == "b");
  BOOST_TEST(take("c", 14, 30).holder == "c");
  BOOST_TEST((keep("b", 9, at_second(40)).error().code == errc::conflict));
  BOOST_TEST(run_task(ledger.find_multipart(u.id)).value().kept.size == 7u);
  ledger.end_multipart(u.id, "");
  BOOST_TEST((keep("c", 9, at_second(40)).error().code == errc::conflict));
}

inline void check_multiparts(const make_ledger_fn& make) {
  check_what_is_kept_of_a_resumable_upload(make);
  check_turns_at_a_resumable_upload(make);
  check_parts_of_a_client(make);
  check_probes_beside_parts(make);
  check_parts_of_a_completed_upload(make);
  check_parts_after_a_fallback_upload(make);
  check_parts_of_an_expired_upload(make);
  check_a_fallback_upload_after_parts(make);
  check_abandoned_multiparts(make);
}

} // namespace postern::test
