// What every ledger must do when it is read, and how it reports its changes.
#pragma once

#include "ledger_contract.hpp"

#include <algorithm>

namespace postern::test {

inline void check_find_all(const make_ledger_fn& make) {
  const auto l = make({});
  const auto found = [&](std::vector<std::string> ids) {
    auto rows = ids_of(run_task(l->find_all(std::move(ids))).value());
    std::sort(rows.begin(), rows.end());
    return rows;
  };
  auto odd = some_upload(7);
  odd.id = "\"quoted\" \\ ' , [Katze 🐈]\n";
  std::vector<std::string> all{odd.id};
  l->issue(odd);
  for (unsigned n = 0; n < 1000; ++n) l->issue(some_upload(n)), all.push_back(some_upload(n).id);
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(3)))).has_value());
  BOOST_TEST(run_task(l->flush()).has_value());
  std::sort(all.begin(), all.end());
  BOOST_TEST(found({}).empty());
  BOOST_TEST(found({"no such id", odd.id}) == std::vector<std::string>{odd.id});
  BOOST_TEST(found({some_upload(2).id, some_upload(2).id}) == std::vector<std::string>{some_upload(2).id});
  BOOST_TEST(found(all) == all);
  const auto row = run_task(l->find_all({some_upload(3).id})).value().at(0);
  check_as_issued(row, some_upload(3));
  check_as_completed(row, some_completion(some_upload(3)));
}

// find sees each write of the same process that was called before it.
inline void check_find_after_write(const make_ledger_fn& make) {
  constexpr unsigned threads = 4, rounds = 200;
  const auto l = make({});
  std::atomic<unsigned> wrong{0};
  const auto is = [&](const result<upload>& found, upload_state state) {
    if (!found || found->state != state) ++wrong;
  };
  const auto use = [&](unsigned who) -> task<> {
    for (unsigned n = 0; n < rounds; ++n) {
      const auto u = some_upload(who * rounds + n);
      l->issue(u);
      is(co_await l->find(u.id), upload_state::issued);
      l->start_receiving(u, "t1");
      is(co_await l->find(u.id), upload_state::receiving);
      auto c = some_completion(u);
      auto confirmed = co_await l->confirm(std::move(c));
      is(confirmed ? result<upload>(confirmed->row) : confirmed.error(), upload_state::completed);
      is(co_await l->find(u.id), upload_state::completed);
    }
  };
  std::vector<std::thread> running;
  for (unsigned who = 0; who < threads; ++who) running.emplace_back([&, who] { run_task(use(who)); });
  for (auto& t : running) t.join();
  BOOST_TEST(wrong == 0u);
}

// Each change is reported once, after its commit; a call that changes nothing is not reported.
inline void check_on_change(const make_ledger_fn& make) {
  std::vector<std::string> seen; // written by the writer thread before the caller's reply
  ledger_options o;
  o.on_change = [&](const upload& u) {
    seen.push_back(u.id + " " + std::string(name_of(u.state)) + (u.overwritten_at ? " overwritten" : ""));
  };
  const auto l = make(o);
  const auto u = some_upload(1), other = some_upload(2);
  const auto changes = [&] {
    BOOST_TEST(run_task(l->flush()).has_value());
    return std::exchange(seen, {});
  };
  using texts = std::vector<std::string>;
  l->issue(u);
  l->start_receiving(u, "t1");
  BOOST_TEST(changes() == texts{u.id + " receiving"});
  l->record_progress({{u.id, 7}}, at_second(1));
  BOOST_TEST(changes().empty());
  BOOST_TEST(run_task(l->fail(u, "t1", "incomplete_body", at_second(1))).has_value());
  BOOST_TEST(changes() == texts{u.id + " failed"});
  for (int n = 0; n < 2; ++n) BOOST_TEST(run_task(l->confirm(some_completion(u))).has_value());
  BOOST_TEST(changes() == texts{u.id + " completed"});
  l->start_receiving(u, "t1");
  BOOST_TEST(run_task(l->fail(u, "t1", "incomplete_body", at_second(1))).has_value());
  BOOST_TEST(run_task(l->expire(u.id, at_second(1))).has_value());
  BOOST_TEST(changes().empty());
  for (int n = 0; n < 2; ++n) BOOST_TEST(run_task(l->confirm(some_completion(u, "e2"))).has_value());
  BOOST_TEST(changes() == texts{u.id + " completed overwritten"});
  l->issue(other);
  BOOST_TEST(run_task(l->expire(other.id, at_second(1))).has_value());
  BOOST_TEST(changes() == texts{other.id + " expired"});
}

inline void check_newest_first(const make_ledger_fn& make) {
  const auto l = make({});
  for (unsigned n = 1; n <= 5; ++n) l->issue(some_upload(n));
  BOOST_TEST(run_task(l->confirm(some_completion(some_upload(4)))).has_value());
  upload_filter f;
  f.limit = 2;
  f.newest_first = true;
  using texts = std::vector<std::string>;
  BOOST_TEST(ids_of(run_task(l->list(f)).value()) == (texts{some_upload(5).id, some_upload(4).id}));
  f.state = upload_state::issued;
  BOOST_TEST(ids_of(run_task(l->list(f)).value()) == (texts{some_upload(5).id, some_upload(3).id}));
  f.since = some_upload(4).created_at;
  BOOST_TEST(ids_of(run_task(l->list(f)).value()) == texts{some_upload(5).id});
}

inline void check_ledger_reads(const make_ledger_fn& make) {
  check_find_all(make);
  check_find_after_write(make);
  check_on_change(make);
  check_newest_first(make);
}

} // namespace postern::test
