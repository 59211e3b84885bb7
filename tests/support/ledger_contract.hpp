// What every ledger must do, whatever its database. The test of each ledger calls check_ledger with a function that
// makes one.
#pragma once

#include "run_task.hpp"
#include <postern/base/uuid.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/ledger/ledger_options.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace postern::test {

// Makes an empty ledger at each call. Ignores the URL in the options.
using make_ledger_fn = std::function<std::unique_ptr<ledger>(const ledger_options&)>;

inline millis_clock at_second(std::int64_t n) { return millis_clock{std::chrono::seconds{1'800'000'000 + n}}; }

// Ids in the order of n.
inline upload some_upload(unsigned n) {
  std::array<unsigned char, 10> bytes{};
  bytes[8] = static_cast<unsigned char>(n >> 8), bytes[9] = static_cast<unsigned char>(n);
  upload u;
  u.id = uuid_v7(at_second(n), bytes);
  u.profile = "default";
  u.user = "jo'ana \"; DROP TABLE uploads; --";
  u.bucket = "media";
  u.key = "uploads/" + u.id + "/Katze 🐈.jpg";
  u.metadata = {{"order", "42"}, {"note", "two\nlines"}, {"empty", ""}};
  u.min_size = 1;
  u.max_size = 5ull << 30;
  u.content_type = "text/plain; charset=\"utf-8\"";
  u.created_at = at_second(n);
  u.expires_at = at_second(n + 900);
  return u;
}

inline completion some_completion(const upload& u, std::string etag = "e1") {
  completion c;
  c.of = u;
  c.size = 1234;
  c.etag = std::move(etag);
  c.crc32c = 0xfffffffe;
  c.at = at_second(5000);
  c.by = completion_source::fallback;
  return c;
}

inline void check_as_issued(const upload& found, const upload& u) {
  BOOST_TEST(found.id == u.id);
  BOOST_TEST(found.profile == u.profile);
  BOOST_TEST(found.user == u.user);
  BOOST_TEST(found.bucket == u.bucket);
  BOOST_TEST(found.key == u.key);
  BOOST_TEST((found.metadata == u.metadata));
  BOOST_TEST(found.min_size == u.min_size);
  BOOST_TEST(found.max_size == u.max_size);
  BOOST_TEST(found.content_type == u.content_type);
  BOOST_TEST((found.created_at == u.created_at));
  BOOST_TEST((found.expires_at == u.expires_at));
}

inline void check_as_completed(const upload& found, const completion& c) {
  BOOST_TEST((found.state == upload_state::completed));
  BOOST_TEST((found.size == c.size));
  BOOST_TEST(found.etag == c.etag);
  BOOST_TEST((found.crc32c == c.crc32c));
  BOOST_TEST((found.completed_at == c.at));
  BOOST_TEST((found.completed_by == c.by));
}

inline void check_issue(const make_ledger_fn& make) {
  const auto l = make({});
  const auto u = some_upload(1);
  l->issue(u);
  const auto found = run_task(l->find(u.id)).value(); // although it may not be committed yet
  check_as_issued(found, u);
  BOOST_TEST((found.state == upload_state::issued));
  BOOST_TEST(!found.size.has_value());
  BOOST_TEST(!found.completed_at.has_value());
  BOOST_TEST(!found.overwritten_at.has_value());

  auto other = u;
  other.key = "other";
  l->issue(other); // the id exists
  BOOST_TEST(run_task(l->find(u.id)).value().key == u.key);
  const auto unknown = run_task(l->find("no such id"));
  BOOST_TEST_REQUIRE(!unknown.has_value());
  BOOST_TEST((unknown.error().code == errc::not_found));
}

inline void check_confirm(const make_ledger_fn& make) {
  const auto l = make({});
  const auto u = some_upload(1);
  l->issue(u);
  const auto c = some_completion(u);
  const auto first = run_task(l->confirm(c)).value();
  BOOST_TEST(first.is_new);
  check_as_issued(first.row, u);
  check_as_completed(first.row, c);

  auto later = c; // the same object from another source
  later.at = at_second(6000);
  later.by = completion_source::event;
  const auto same = run_task(l->confirm(later)).value();
  BOOST_TEST(!same.is_new);
  check_as_completed(same.row, c);
  BOOST_TEST(!run_task(l->find(u.id)).value().overwritten_at.has_value());

  auto overwriting = some_completion(u, "e2");
  overwriting.at = at_second(7000);
  overwriting.size = 99;
  overwriting.is_current = false; // perhaps this object came before the one that is recorded
  BOOST_TEST(!run_task(l->confirm(overwriting)).value().row.overwritten_at.has_value());
  overwriting.is_current = true;
  const auto unchanged = run_task(l->confirm(overwriting)).value().row;
  check_as_completed(unchanged, c);
  BOOST_TEST((unchanged.overwritten_at == at_second(7000)));
  BOOST_TEST(unchanged.overwritten_etag == "e2");
  overwriting.at = at_second(8000); // the same overwrite again
  BOOST_TEST((run_task(l->confirm(overwriting)).value().row.overwritten_at == at_second(7000)));
  overwriting.etag = "e3";
  const auto again = run_task(l->confirm(overwriting)).value().row;
  check_as_completed(again, c);
  BOOST_TEST((again.overwritten_at == at_second(8000)));
  BOOST_TEST(again.overwritten_etag == "e3");
}

inline void check_confirm_without_a_row(const make_ledger_fn& make) {
  const auto l = make({});
  auto c = some_completion(some_upload(2));
  c.crc32c.reset();
  const auto recorded = run_task(l->confirm(c)).value().row;
  check_as_issued(recorded, c.of);
  check_as_completed(recorded, c);
  l->issue(c.of); // signed on another node, whose write arrives late
  check_as_completed(run_task(l->find(c.of.id)).value(), c);

  auto ageless = some_completion(some_upload(3));
  ageless.of.created_at = {};
  BOOST_TEST((run_task(l->confirm(ageless)).value().row.created_at == ageless.at));
}

// Each call in each state.
inline void check_steps(const make_ledger_fn& make) {
  using enum upload_state;
  struct row {
    std::vector<upload_state> steps;
    upload_state is;
    std::string because;
  };
  const std::vector<row> rows{
      {{receiving}, receiving, ""},
      {{failed}, failed, "incomplete_body"},
      {{issued, receiving}, receiving, ""},
      {{issued, failed}, failed, "incomplete_body"},
      {{issued, completed}, completed, ""},
      {{receiving, issued}, receiving, ""},
      {{receiving, failed}, failed, "incomplete_body"},
      {{receiving, completed}, completed, ""},
      {{failed, issued}, failed, "incomplete_body"},
      {{failed, receiving}, receiving, ""},
      {{failed, completed}, completed, ""},
      {{completed, issued}, completed, ""},
      {{completed, receiving}, completed, ""},
      {{completed, failed}, completed, ""},
      {{failed, receiving, failed}, failed, "incomplete_body"},
      {{receiving, failed, receiving, completed, failed, receiving}, completed, ""},
  };
  const auto l = make({});
  for (std::size_t n = 0; n < rows.size(); ++n) {
    const auto u = some_upload(static_cast<unsigned>(n));
    for (const auto step : rows[n].steps) {
      if (step == issued) l->issue(u);
      if (step == receiving) l->start_receiving(u, "t1");
      if (step == failed) BOOST_TEST(run_task(l->fail(u, "t1", "incomplete_body", at_second(4000))).has_value());
      if (step == completed) BOOST_TEST(run_task(l->confirm(some_completion(u))).has_value());
    }
    BOOST_TEST_CONTEXT("row " << n) {
      const auto found = run_task(l->find(u.id)).value();
      BOOST_TEST(name_of(found.state) == name_of(rows[n].is));
      BOOST_TEST(found.failed_because == rows[n].because);
      check_as_issued(found, u);
      if (found.state == completed) check_as_completed(found, some_completion(u));
    }
  }
}

// Only the newest attempt decides what becomes of a row, whatever node it is on.
inline void check_attempts(const make_ledger_fn& make) {
  const auto l = make({});
  const auto u = some_upload(1);
  const auto now = [&] { return run_task(l->find(u.id)).value(); };
  const auto break_off = [&](const char* attempt) { BOOST_TEST(run_task(l->break_off(u.id, attempt)).has_value()); };
  break_off("t0"); // of an upload that the ledger does not have
  l->issue(u);
  break_off("t0"); // that has not begun
  BOOST_TEST((now().state == upload_state::issued));
  l->start_receiving(u, "t1");
  l->record_progress({{u.id, 5}}, at_second(0));
  l->start_receiving(u, "t2"); // the client has begun again; its first connection is still open here
  BOOST_TEST(!now().received.has_value());
  break_off("t1");
  BOOST_TEST((now().state == upload_state::receiving));
  BOOST_TEST((run_task(l->fail(u, "t1", "timed_out", at_second(10))).value().state == upload_state::receiving));
  break_off("t2");
  BOOST_TEST((now().state == upload_state::issued && now().failed_because.empty()));
  BOOST_TEST((run_task(l->fail(u, "t1", "timed_out", at_second(11))).value().state == upload_state::issued));
  l->start_receiving(u, "t3");
  BOOST_TEST((run_task(l->fail(u, "t3", "bad_digest", at_second(12))).value().state == upload_state::failed));
  break_off("t3");
  BOOST_TEST(now().failed_because == "bad_digest");
  l->start_receiving(u, "t4");
  break_off("t4");
  BOOST_TEST((run_task(l->fail(u, "", "type_mismatch", at_second(13))).value().state == upload_state::failed));
  BOOST_TEST(now().failed_because == "type_mismatch"); // the object counts, whichever attempt brought it
  l->start_receiving(u, "t4");
  BOOST_TEST(run_task(l->confirm(some_completion(u))).has_value());
  break_off("t4");
  BOOST_TEST((now().state == upload_state::completed));
}

// A form that was signed before the file's name was known belongs to the first name.
inline void check_reserved_keys(const make_ledger_fn& make) {
  const auto l = make({});
  auto u = some_upload(1);
  const std::string signed_key = "uploads/" + u.id + "/${filename}";
  const auto reserve = [&](const std::string& name, const char* attempt) {
    auto named = u;
    named.key = "uploads/" + u.id + "/" + name;
    return run_task(l->reserve_key(std::move(named), signed_key, attempt));
  };
  u.key = signed_key;
  l->issue(u);
  const auto first = reserve("a", "t1").value();
  BOOST_TEST((first.state == upload_state::receiving && first.key.ends_with("/a") && first.user == u.user));
  const auto second = reserve("b", "t2");
  BOOST_TEST((!second && second.error().code == errc::conflict));
  BOOST_TEST(run_task(l->break_off(u.id, "t2")).has_value()); // the refused attempt decides nothing
  BOOST_TEST((run_task(l->find(u.id)).value() == first));

  BOOST_TEST(run_task(l->break_off(u.id, "t1")).has_value());
  BOOST_TEST(!reserve("b", "t3").has_value()); // the name stays
  BOOST_TEST((reserve("a", "t4").value().state == upload_state::receiving));
  BOOST_TEST((run_task(l->fail(first, "t4", "bad_digest", at_second(10))).value().state == upload_state::failed));
  BOOST_TEST(!reserve("b", "t5").has_value());
  BOOST_TEST((reserve("a", "t6").value().state == upload_state::receiving));
  BOOST_TEST(run_task(l->confirm(some_completion(first))).has_value());
  BOOST_TEST(!reserve("b", "t7").has_value());
  BOOST_TEST((reserve("a", "t8").value().state == upload_state::completed)); // posted once more

  u = some_upload(2); // without a row
  BOOST_TEST((reserve("c", "t1").value().state == upload_state::receiving));
  u.key = "uploads/" + u.id + "/${filename}";
  l->issue(u); // the write arrives late
  BOOST_TEST(run_task(l->find(u.id)).value().key.ends_with("/c"));
}

// Of many names that are posted at once, one wins.
inline void check_reserving_at_once(const make_ledger_fn& make) {
  constexpr unsigned threads = 4, uploads = 50;
  const auto l = make({});
  std::atomic<unsigned> won{0}, lost{0};
  const auto work = [&](unsigned who) -> task<> {
    for (unsigned n = 0; n < uploads; ++n) {
      auto u = some_upload(n);
      u.key = "k/" + u.id + "/" + std::to_string(who);
      const auto reserved = co_await l->reserve_key(u, "k/" + u.id + "/${filename}", "t" + std::to_string(who));
      if (reserved) ++won;
      if (!reserved && reserved.error().code == errc::conflict) ++lost;
    }
  };
  std::vector<std::thread> running;
  for (unsigned who = 0; who < threads; ++who) running.emplace_back([&, who] { run_task(work(who)); });
  for (auto& t : running) t.join();
  BOOST_TEST((won == uploads && lost == uploads * (threads - 1)));
}

inline void check_progress(const make_ledger_fn& make) {
  const auto l = make({});
  const auto u = some_upload(1), other = some_upload(2), unknown = some_upload(3);
  const auto received = [&](const upload& of) { return run_task(l->find(of.id)).value().received; };
  const auto report = [&](std::vector<std::pair<std::string, std::uint64_t>> bytes) {
    l->record_progress(std::move(bytes), at_second(0));
    BOOST_TEST(run_task(l->flush()).has_value()); // written behind
  };
  l->issue(other);
  l->start_receiving(u, "t1");
  BOOST_TEST(!received(u).has_value());
  report({});
  report({{u.id, 5}, {other.id, 6}, {unknown.id, 7}});
  BOOST_TEST((received(u) == 5u));
  BOOST_TEST(!received(other).has_value()); // its state is not receiving
  BOOST_TEST(!run_task(l->find(unknown.id)).has_value());
  report({{u.id, 6ull << 30}});
  BOOST_TEST((run_task(l->list({})).value().at(0).received == 6ull << 30));

  BOOST_TEST(!run_task(l->fail(u, "t1", "incomplete_body", at_second(10))).value().received.has_value());
  l->start_receiving(u, "t1"); // from its beginning
  BOOST_TEST(!received(u).has_value());
  report({{u.id, 8}});
  BOOST_TEST(!run_task(l->confirm(some_completion(u))).value().row.received.has_value());
  report({{u.id, 9}}); // too late
  BOOST_TEST(!received(u).has_value());
}

inline std::vector<std::string> ids_of(const std::vector<upload>& uploads) {
  std::vector<std::string> ids;
  for (const auto& u : uploads) ids.push_back(u.id);
  return ids;
}

inline void check_list(const make_ledger_fn& make) {
  const auto l = make({});
  BOOST_TEST(run_task(l->list({})).value().empty());
  std::vector<std::string> all, done;
  for (unsigned n = 0; n < 250; ++n) all.push_back(some_upload(n).id);
  for (unsigned n = 250; n-- > 0;) l->issue(some_upload(n)); // not in order
  for (unsigned n = 0; n < 250; n += 10) {
    BOOST_TEST(run_task(l->confirm(some_completion(some_upload(n)))).has_value());
    done.push_back(some_upload(n).id);
  }
  const auto listed = [&](upload_filter f) { return ids_of(run_task(l->list(std::move(f))).value()); };
  const auto tail = [](const std::vector<std::string>& v, std::size_t from, std::size_t to) {
    return std::vector<std::string>(v.begin() + static_cast<std::ptrdiff_t>(from),
                                    v.begin() + static_cast<std::ptrdiff_t>(to));
  };
  upload_filter f;
  BOOST_TEST(listed(f) == tail(all, 0, 100)); // the default limit
  f.limit = std::numeric_limits<std::size_t>::max();
  BOOST_TEST(listed(f) == all);
  f.limit = 0;
  BOOST_TEST(listed(f).empty());
  f.limit = 7;
  f.after_id = all[99];
  BOOST_TEST(listed(f) == tail(all, 100, 107));
  f.after_id = all[249];
  BOOST_TEST(listed(f).empty());
  f = {};
  f.state = upload_state::completed;
  BOOST_TEST(listed(f) == done);
  f.after_id = done[20];
  BOOST_TEST(listed(f) == tail(done, 21, 25));
  f.after_id.clear();
  f.since = at_second(200);
  BOOST_TEST(listed(f) == tail(done, 20, 25));
  f.limit = 2;
  BOOST_TEST(listed(f) == tail(done, 20, 22));
  f.after_id = done[22];
  BOOST_TEST(listed(f) == tail(done, 23, 25));
  f = {};
  f.since = at_second(250);
  BOOST_TEST(listed(f).empty());
  f.since = at_second(249);
  BOOST_TEST(listed(f) == tail(all, 249, 250));
  f.state = upload_state::failed;
  BOOST_TEST(listed(f).empty());
}

// With calls from several threads at once, each upload is completed once.
inline void check_many_at_once(const make_ledger_fn& make) {
  constexpr unsigned threads = 4, calls = 1000, uploads = 100;
  const auto l = make({});
  std::atomic<unsigned> wrong{0}, first{0};
  const auto work = [&](unsigned who) -> task<> {
    for (unsigned n = 0; n < calls; ++n) {
      auto c = some_completion(some_upload(n % uploads));
      c.at = at_second(who * calls + n); // a second completion would show another time
      const auto before = c.of.id;
      const auto recorded = co_await l->confirm(std::move(c));
      if (!recorded || recorded->row.id != before || recorded->row.state != upload_state::completed) ++wrong;
      if (recorded && recorded->is_new) ++first;
    }
  };
  std::vector<std::thread> running;
  for (unsigned who = 0; who < threads; ++who) running.emplace_back([&, who] { run_task(work(who)); });
  for (auto& t : running) t.join();
  BOOST_TEST(wrong == 0u);
  BOOST_TEST(first == uploads);
  upload_filter f;
  f.limit = 1000;
  const auto all = run_task(l->list(f)).value();
  BOOST_TEST(all.size() == uploads);
  for (unsigned n = 0; n < all.size(); ++n) {
    BOOST_TEST((all[n].state == upload_state::completed));
    BOOST_TEST(!all[n].overwritten_at.has_value());
    // It is the time of some thread's first call for this upload. Later calls must not have changed it.
    const auto when = all[n].completed_at->time_since_epoch() / std::chrono::seconds{1} - 1'800'000'000;
    BOOST_TEST(when % calls == n);
  }
}

// A message counts as handled for a while, on every node.
inline void check_messages(const make_ledger_fn& make) {
  const auto l = make({});
  const auto has = [&](const char* id, std::int64_t at) { return run_task(l->has_message(id, at_second(at))).value(); };
  BOOST_TEST(!has("a", 0));
  BOOST_TEST(run_task(l->note_message("a", at_second(0))).has_value());
  BOOST_TEST(run_task(l->note_message("a", at_second(1))).has_value()); // two nodes at once
  BOOST_TEST(has("a", 1));
  BOOST_TEST(!has("b", 1));
  const auto later = std::chrono::seconds(ledger::message_memory).count() + 1;
  BOOST_TEST(has("a", later - 1));
  BOOST_TEST(!has("a", later));
  BOOST_TEST(run_task(l->note_message("b", at_second(later))).has_value());
  BOOST_TEST(!has("a", 1)); // forgotten
  BOOST_TEST(has("b", later));
}

inline void check_ledger(const make_ledger_fn& make) {
  check_issue(make);
  check_confirm(make);
  check_confirm_without_a_row(make);
  check_steps(make);
  check_attempts(make);
  check_reserved_keys(make);
  check_reserving_at_once(make);
  check_progress(make);
  check_list(make);
  check_many_at_once(make);
  check_messages(make);
  BOOST_TEST(run_task(make({})->flush()).has_value());
}

} // namespace postern::test
