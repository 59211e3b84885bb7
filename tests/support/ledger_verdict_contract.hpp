// What every ledger must do with uploads whose object the application must accept. The test of each ledger calls
// check_verdicts with a function that makes one.
#pragma once

#include "ledger_completed_contract.hpp"

namespace postern::test {

// A ledger with one upload of 60 bytes, which is being checked.
class checking_checks {
public:
  explicit checking_checks(const make_ledger_fn& make) : ledger_(make({.endpoints = {{"https://a", {"*"}}}})) {
    u.key = "quarantine/" + u.key;
    u.final_key = u.key.substr(11);
    BOOST_TEST(run_task(ledger_->reserve(u, of_100)).has_value());
    BOOST_TEST((row().final_key == u.final_key));
    BOOST_TEST(confirm().is_new);
  }
  ledger* operator->() const { return ledger_.get(); }

  completion arrival() {
    auto c = some_completion(u);
    c.size = 60;
    c.at = at_second(10);
    c.needs_verdict = true;
    c.final_key = u.final_key;
    return c;
  }
  confirmation confirm() { return run_task(ledger_->confirm(arrival())).value(); }
  upload row() { return run_task(ledger_->find(u.id)).value(); }
  std::vector<upload> due(std::int64_t at) {
    return run_task(ledger_->lease_due_verdicts(at_second(at), at_second(at + 100), 10)).value();
  }
  result<upload> accept(const std::string& etag = {}) { return run_task(ledger_->accept(u.id, etag, at_second(120))); }
  result<upload> finish(std::int64_t at = 30) {
    return row_of(run_task(ledger_->finish_accepting(u.id, "e2", at_second(at), at_second(500))));
  }
  result<upload> reject(bool is_gone = false, const std::string& etag = {}) {
    return row_of(run_task(ledger_->reject(u.id, etag, "a virus", at_second(40), is_gone)));
  }
  static result<upload> row_of(result<confirmation> c) {
    if (!c) return c.error();
    return std::move(c->row);
  }
  bool is_conflict(const result<upload>& r) { return !r && r.error().code == errc::conflict; }
  std::size_t messages(std::string_view type) {
    std::size_t n = 0;
    for (const auto& m : run_task(ledger_->list_webhooks({})).value()) n += m.type == type ? 1 : 0;
    return n;
  }
  quota_totals usage() { return run_task(ledger_->find_usage("default", "ann", day_of(at_second(1)))).value().user; }

  upload u = upload_of_user(1, "ann", 60);

private:
  std::unique_ptr<ledger> ledger_;
};

inline void check_a_check(const make_ledger_fn& make) {
  checking_checks q(make);
  const auto row = q.row();
  BOOST_TEST((row.state == upload_state::checking && row.stored_at == at_second(10) && !row.completed_at));
  BOOST_TEST((row.size == 60u && row.etag == "e1" && row.key == q.u.key));
  BOOST_TEST(!q.confirm().is_new); // again, because the first reply was lost
  auto without = q.arrival();
  without.needs_verdict = false; // a node that knows no hook completes nothing that is checked
  without.etag = "e9";
  BOOST_TEST((run_task(q->confirm(without)).value().row == row));
  BOOST_TEST(q.messages("upload.checking") == 1u);
  BOOST_TEST(q.messages("upload.completed") == 0u);
  BOOST_TEST((q.usage() == quota_totals{0, 60, 1})); // stays reserved
  BOOST_TEST(q.due(9).empty());
  BOOST_TEST(q.due(10).size() == 1u);
  BOOST_TEST(q.due(109).empty()); // leased
  BOOST_TEST(run_task(q->postpone_verdict(q.u.id, at_second(300), true)).has_value());
  BOOST_TEST(q.row().asked == 1u);
  BOOST_TEST(q.due(299).empty());
  BOOST_TEST(q.due(300).size() == 1u);
  BOOST_TEST(
      run_task(q->lease_due_checks(at_second(9000), at_second(9001), 10, {})).value().empty()); // not the sweep's
}

inline void check_an_acceptance(const make_ledger_fn& make) {
  checking_checks q(make);
  BOOST_TEST((q.finish().value().state == upload_state::checking)); // not accepted: no way to completed
  BOOST_TEST(q.is_conflict(q.accept("another object's ETag")));
  BOOST_TEST(q.is_conflict(q.reject(false, "another object's ETag")));
  BOOST_TEST(q.accept("e1").value().is_accepted);
  BOOST_TEST(q.accept().value().is_accepted);
  BOOST_TEST(q.is_conflict(q.reject()));
  BOOST_TEST(q.due(119).empty());
  BOOST_TEST(q.due(120).size() == 1u); // whoever began to move the object did not get on with it
  const auto completed = q.finish().value();
  BOOST_TEST((completed.state == upload_state::completed && completed.completed_at == at_second(30)));
  BOOST_TEST((completed.key == q.u.final_key && completed.form_key == q.u.key && completed.etag == "e2"));
  BOOST_TEST((completed.claim_until == at_second(500)));
  BOOST_TEST((q.finish(31).value() == q.row())); // and the sums change once
  BOOST_TEST((q.accept().value() == q.row()));
  BOOST_TEST(q.is_conflict(q.reject()));
  BOOST_TEST(q.messages("upload.completed") == 1u);
  BOOST_TEST((q.usage() == quota_totals{60, 0, 0}));
  // What the form stores until it expires is looked for once more.
  BOOST_TEST(run_task(q->lease_due_checks(at_second(800), at_second(801), 10, {})).value().empty());
  BOOST_TEST(run_task(q->lease_due_checks(at_second(9000), at_second(9001), 10, {})).value().size() == 1u);
}

inline void check_a_rejection(const make_ledger_fn& make) {
  checking_checks q(make);
  const auto rejected = q.reject().value();
  BOOST_TEST((rejected.state == upload_state::rejected && rejected.reason == "a virus"));
  BOOST_TEST((q.reject().value() == q.row()));
  BOOST_TEST(q.is_conflict(q.accept()));
  BOOST_TEST(!q.confirm().is_new);
  BOOST_TEST((q.finish().value().state == upload_state::rejected));
  BOOST_TEST(q.messages("upload.rejected") == 1u);
  BOOST_TEST((q.usage() == quota_totals{0, 0, 0}));
  BOOST_TEST(q.is_conflict(run_task(q->claim_upload(q.u.id, "x", at_second(50)))));
  BOOST_TEST(q.is_conflict(run_task(q->start_removing(q.u.id, at_second(50)))));
  BOOST_TEST(run_task(q->lease_due_checks(at_second(9000), at_second(9001), 10, {})).value().size() == 1u);
  const auto other = some_upload(2).id;
  BOOST_TEST((run_task(q->accept(other, "", at_second(1))).error().code == errc::not_found));
  BOOST_TEST((run_task(q->reject(other, "", "", at_second(1), false)).error().code == errc::not_found));
}

inline void check_a_check_that_begins_anew(const make_ledger_fn& make) {
  checking_checks q(make);
  (void)q.accept();
  stored_object other;
  other.size = 50;
  other.etag = "e7";
  const auto again = run_task(q->check_again(q.u.id, other, at_second(60))).value();
  BOOST_TEST((again.etag == "e7" && again.size == 50u && !again.is_accepted && again.stored_at == at_second(60)));
  BOOST_TEST((q.finish().value().state == upload_state::checking)); // that verdict was about another object
  BOOST_TEST(q.messages("upload.checking") == 2u);
  BOOST_TEST(q.due(60).size() == 1u);
  (void)q.accept();
  BOOST_TEST((q.reject(true).value().state == upload_state::rejected)); // the object has disappeared
}

inline void check_verdicts(const make_ledger_fn& make) {
  check_a_check(make);
  check_an_acceptance(make);
  check_a_rejection(make);
  check_a_check_that_begins_anew(make);
}

} // namespace postern::test
