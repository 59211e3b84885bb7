// What every ledger must do with completed uploads: claims, removals, and no way back. The test of each ledger calls
// check_completed with a function that makes one.
#pragma once

#include "ledger_quota_contract.hpp"

#include <thread>

namespace postern::test {

// A ledger with one completed upload, of 60 bytes, which counts to its user's quota.
class completed_checks {
public:
  explicit completed_checks(const make_ledger_fn& make) : ledger_(make({.endpoints = {{"https://a", {"*"}}}})) {
    BOOST_TEST(run_task(ledger_->reserve(u, of_100)).has_value());
    auto c = some_completion(u);
    c.size = 60;
    c.at = at_second(10);
    c.claim_until = at_second(100);
    BOOST_TEST((run_task(ledger_->confirm(c)).value().row.claim_until == at_second(100)));
  }
  ledger& operator*() const { return *ledger_; }
  ledger* operator->() const { return ledger_.get(); }

  upload row() { return run_task(ledger_->find(u.id)).value(); }
  result<upload> claim(const std::string& reference) {
    return run_task(ledger_->claim_upload(u.id, reference, at_second(20)));
  }
  result<upload> start_removing() { return run_task(ledger_->start_removing(u.id, at_second(200))); }
  result<upload> finish_removing(std::int64_t at = 30) {
    return run_task(ledger_->finish_removing(u.id, at_second(at)));
  }
  std::vector<upload> unclaimed(std::int64_t at) {
    return run_task(ledger_->start_removing_unclaimed(at_second(at), at_second(at + 100), 10, {})).value();
  }
  std::vector<upload> due_checks(std::int64_t at) {
    return run_task(ledger_->lease_due_checks(at_second(at), at_second(at + 1), 10, {})).value();
  }
  std::size_t messages(std::string_view type) {
    std::size_t n = 0;
    for (const auto& m : run_task(ledger_->list_webhooks({})).value()) n += m.type == type ? 1 : 0;
    return n;
  }
  quota_usage usage() { return run_task(ledger_->find_usage("default", "ann", day_of(at_second(1)))).value(); }

  const upload u = upload_of_user(1, "ann", 60);

private:
  std::unique_ptr<ledger> ledger_;
};

inline void check_claims(const make_ledger_fn& make) {
  completed_checks q(make);
  upload_filter unclaimed;
  unclaimed.unclaimed = true;
  BOOST_TEST(run_task(q->list(unclaimed)).value().size() == 1u);
  const auto claimed = q.claim("order 17").value();
  BOOST_TEST((claimed.claimed_at == at_second(20) && claimed.claimed_as == "order 17" && !claimed.claim_until));
  BOOST_TEST((q.claim("order 17").value() == claimed)); // again, because the first reply was lost
  BOOST_TEST((q.claim("order 18").error().code == errc::conflict));
  BOOST_TEST(q.unclaimed(5000).empty());
  BOOST_TEST(run_task(q->list(unclaimed)).value().empty());
  const auto other = some_upload(2);
  q->issue(other);
  BOOST_TEST((run_task(q->claim_upload(other.id, "x", at_second(20))).error().code == errc::conflict));
  BOOST_TEST((run_task(q->claim_upload(some_upload(3).id, "x", at_second(20))).error().code == errc::not_found));
}

inline void check_removal(const make_ledger_fn& make) {
  completed_checks q(make);
  BOOST_TEST((q.start_removing().value().state == upload_state::removing));
  BOOST_TEST((q.start_removing().value().state == upload_state::removing)); // idempotent
  BOOST_TEST((q.claim("x").error().code == errc::conflict));
  BOOST_TEST(q.due_checks(199).empty());
  BOOST_TEST(q.due_checks(200).size() == 1u); // whoever began it did not get on with it
  BOOST_TEST((q.usage().user == quota_totals{60, 0, 0}));
  BOOST_TEST(q.messages("upload.removed") == 0u);
  const auto removed = q.finish_removing().value();
  BOOST_TEST((removed.state == upload_state::removed && removed.removed_at == at_second(30)));
  BOOST_TEST((q.finish_removing(31).value() == removed)); // and the sums change once
  BOOST_TEST(q.messages("upload.removed") == 1u);
  BOOST_TEST((q.usage().user == quota_totals{0, 0, 0}));
  BOOST_TEST((q.usage().user_of_day == quota_totals{60, 0, 0})); // a day's use is never given back
  BOOST_TEST((q.start_removing().value() == removed));
  const auto other = some_upload(2);
  q->issue(other);
  BOOST_TEST((run_task(q->start_removing(other.id, at_second(20))).error().code == errc::conflict));
  BOOST_TEST((run_task(q->start_removing(some_upload(3).id, at_second(20))).error().code == errc::not_found));
  BOOST_TEST((run_task(q->finish_removing(some_upload(3).id, at_second(20))).error().code == errc::not_found));
}

// The form of the removed upload can still be posted, so the store is asked once more when it has expired.
inline void check_the_last_check_of_a_removed_upload(const make_ledger_fn& make) {
  completed_checks q(make);
  (void)q.start_removing();
  (void)q.finish_removing();
  BOOST_TEST(q.due_checks(800).empty());
  const auto due = q.due_checks(5000);
  BOOST_TEST_REQUIRE(due.size() == 1u);
  BOOST_TEST((due[0].state == upload_state::removed));
  BOOST_TEST(run_task(q->settle(q.u.id, std::nullopt)).has_value());
  BOOST_TEST(q.due_checks(9000).empty());
  BOOST_TEST((q.usage().user == quota_totals{0, 0, 0}));
}

inline void check_unclaimed(const make_ledger_fn& make) {
  completed_checks q(make);
  BOOST_TEST(q.unclaimed(99).empty());
  const auto started = q.unclaimed(100);
  BOOST_TEST_REQUIRE(started.size() == 1u);
  BOOST_TEST((started[0].state == upload_state::removing && !started[0].claim_until));
  BOOST_TEST(q.unclaimed(5000).empty()); // whoever began it goes on, or a check of the sweep
  BOOST_TEST((q.claim("x").error().code == errc::conflict));
}

// Each method that moves an upload, called on an upload in each state of its end: none brings it back.
inline void check_ends_are_final(const make_ledger_fn& make) {
  for (const bool is_finished : {false, true}) {
    completed_checks q(make);
    (void)q.start_removing();
    if (is_finished) (void)q.finish_removing();
    const auto before = q.row();
    q->issue(q.u);
    q->start_receiving(q.u, "t1");
    BOOST_TEST((run_task(q->reserve_key(q.u, q.u.key, "t2")).error().code == errc::conflict));
    q->record_progress({{q.u.id, 5}}, at_second(0));
    const auto confirmed = run_task(q->confirm(some_completion(q.u, "e2"))).value();
    BOOST_TEST((!confirmed.is_new && confirmed.row == before));
    BOOST_TEST(run_task(q->break_off(q.u.id, "t1")).has_value());
    BOOST_TEST((run_task(q->fail(q.u, "t1", "x", at_second(40))).value() == before));
    BOOST_TEST((run_task(q->check_later(q.u, at_second(1))).value() == before));
    BOOST_TEST((q.row() == before));
    BOOST_TEST(q.messages("upload.failed") == 0u);
    BOOST_TEST(q.messages("upload.overwritten") == 0u);
    BOOST_TEST(run_task(q->purge_uploads(at_second(100'000), 10)).value() ==
               0u); // messages wait, or it is being removed
  }
}

// A claim and a removal at the same moment, on two connections: whichever is first refuses the other one.
inline void check_claims_beside_removals(const make_ledger_fn& make) {
  int claimed = 0;
  for (int round = 0; round < 20; ++round) {
    completed_checks q(make);
    std::optional<result<upload>> claim;
    std::thread other([&] { claim = q.claim("x"); });
    const auto started = q.unclaimed(100);
    other.join();
    BOOST_TEST(claim->has_value() == started.empty());
    claimed += claim->has_value() ? 1 : 0;
  }
  BOOST_TEST_MESSAGE(claimed << " of 20 claims came first");
}

inline void check_completed(const make_ledger_fn& make) {
  check_claims(make);
  check_removal(make);
  check_the_last_check_of_a_removed_upload(make);
  check_unclaimed(make);
  check_ends_are_final(make);
  check_claims_beside_removals(make);
}

} // namespace postern::test
