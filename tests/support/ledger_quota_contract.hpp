// What every ledger must do with quotas. The test of each ledger calls check_quotas with a function that makes one.
#pragma once

#include "ledger_contract.hpp"

namespace postern::test {

// An upload of this user, signed for at most `bytes`.
inline upload upload_of_user(unsigned n, const std::string& user, std::uint64_t bytes) {
  auto u = some_upload(n);
  u.user = user;
  u.min_size = u.max_size = bytes; // declared
  return u;
}

// A ledger, and what it says about one profile.
class quota_checks {
public:
  explicit quota_checks(const make_ledger_fn& make) : ledger_(make({})) {}

  ledger& operator*() const { return *ledger_; }
  errc reserve(const upload& u, const quota& limits) {
    const auto done = run_task(ledger_->reserve(u, limits));
    return done ? errc{} : done.error().code;
  }
  void confirm(const upload& u, std::uint64_t size) {
    auto c = some_completion(u, "e " + u.id);
    c.size = size;
    c.at = at_second(10);
    BOOST_TEST(run_task(ledger_->confirm(c)).has_value());
  }
  void expire(const upload& u) { BOOST_TEST(run_task(ledger_->expire(u.id, at_second(9000))).has_value()); }
  quota_usage usage(const std::string& user) {
    return run_task(ledger_->find_usage("default", user, day_of(at_second(0)))).value();
  }
  // The user's totals are these, and so are those of the day.
  void check(const std::string& user, const quota_totals& wanted) {
    const auto now = usage(user);
    BOOST_TEST((now.user == wanted));
    BOOST_TEST((now.user_of_day == wanted));
  }

private:
  std::unique_ptr<ledger> ledger_;
};

inline constexpr quota of_100{.per_user = 100};

inline void check_reservations(const make_ledger_fn& make) {
  quota_checks q(make);
  const auto a = upload_of_user(1, "ann", 60), b = upload_of_user(2, "ann", 41), c = upload_of_user(3, "ann", 40);
  BOOST_TEST((q.reserve(a, of_100) == errc{}));
  BOOST_TEST((q.reserve(a, of_100) == errc{})); // again, because the first reply was lost: it reserves once
  q.check("ann", {0, 60, 1});
  BOOST_TEST((q.reserve(b, of_100) == errc::quota_exceeded));
  BOOST_TEST((run_task((*q).find(b.id)).error().code == errc::not_found)); // nothing was recorded
  q.check("ann", {0, 60, 1});
  BOOST_TEST((q.reserve(c, of_100) == errc{}));
  BOOST_TEST((q.reserve(upload_of_user(4, "bob", 100), of_100) == errc{})); // each user has the quota
  BOOST_TEST((q.reserve(upload_of_user(5, "cat", 101), of_100) == errc::payload_too_large));
  q.check("ann", {0, 100, 2});
  const auto all = q.usage("ann").all;
  BOOST_TEST((all == quota_totals{0, 200, 3}));
  check_as_issued(run_task((*q).find(a.id)).value(), a);
}

inline void check_settlement(const make_ledger_fn& make) {
  quota_checks q(make);
  const auto a = upload_of_user(1, "ann", 60), b = upload_of_user(2, "ann", 40);
  (void)q.reserve(a, of_100);
  (void)q.reserve(b, of_100);
  q.confirm(a, 60);
  q.confirm(a, 60); // reported twice
  q.check("ann", {60, 40, 1});
  q.expire(b);
  q.expire(b);
  q.check("ann", {60, 0, 0});
  BOOST_TEST((q.reserve(upload_of_user(4, "ann", 40), of_100) == errc{}));
  q.expire(upload_of_user(4, "ann", 40));
  q.confirm(b, 95); // it came after all: it counts, even above the limit
  q.check("ann", {155, 0, 0});
  BOOST_TEST((q.reserve(upload_of_user(3, "ann", 1), of_100) == errc::quota_exceeded));
}

// The form of a completed upload can be posted again, with any size that it allows, until it has expired. The quota
// counts the newest object, and holds the rest.
inline void check_charged_overwrites(const make_ledger_fn& make) {
  quota_checks q(make);
  auto a = upload_of_user(1, "ann", 60);
  a.min_size = 1; // not declared
  (void)q.reserve(a, of_100);
  q.confirm(a, 1);
  q.check("ann", {1, 59, 0}); // no longer in flight
  const auto overwrite = [&](std::uint64_t size) {
    auto c = some_completion(a, "another " + std::to_string(size));
    c.size = size;
    c.at = at_second(20);
    BOOST_TEST(run_task((*q).confirm(c)).has_value());
    BOOST_TEST(run_task((*q).confirm(c)).has_value()); // reported twice
  };
  overwrite(60);
  q.check("ann", {60, 0, 0});
  overwrite(20);
  q.check("ann", {20, 40, 0});
  const auto leased = run_task((*q).lease_due_checks(at_second(5000), at_second(5001), 10, {})).value();
  BOOST_TEST_REQUIRE(leased.size() == 1u); // the form has expired: what does the store have?
  BOOST_TEST((leased.front().state == upload_state::completed));
  BOOST_TEST(run_task((*q).settle(a.id, 50)).has_value());
  BOOST_TEST(run_task((*q).settle(a.id, 50)).has_value());
  q.check("ann", {50, 0, 0});
  BOOST_TEST(run_task((*q).settle(a.id, std::nullopt)).has_value()); // somebody deleted it from the store
  q.check("ann", {50, 0, 0});
  BOOST_TEST(run_task((*q).lease_due_checks(at_second(9000), at_second(9001), 10, {})).value().empty());
}

// A failed form can still be posted to the store, so what it reserves is free only when the form has expired.
inline void check_failed_uploads_reserve(const make_ledger_fn& make) {
  quota_checks q(make);
  const auto a = upload_of_user(1, "ann", 60);
  (void)q.reserve(a, of_100);
  (*q).start_receiving(a, "t1");
  BOOST_TEST(run_task((*q).fail(a, "t1", "timed_out", at_second(3))).has_value());
  q.check("ann", {0, 60, 1});
  q.expire(a);
  q.check("ann", {0, 0, 0});
  BOOST_TEST((run_task((*q).find(a.id))->state == upload_state::failed));
}

inline void check_limits_of_all(const make_ledger_fn& make) {
  quota_checks q(make);
  const quota limits{.per_user_day = 50, .total = 100, .per_user_in_flight = 2, .in_flight = 3};
  BOOST_TEST((q.reserve(upload_of_user(1, "ann", 10), limits) == errc{}));
  BOOST_TEST((q.reserve(upload_of_user(2, "ann", 41), limits) == errc::quota_exceeded)); // today
  BOOST_TEST((q.reserve(upload_of_user(3, "ann", 40), limits) == errc{}));
  auto tomorrow = upload_of_user(4, "ann", 10);
  tomorrow.created_at += std::chrono::days(1);
  BOOST_TEST((q.reserve(tomorrow, limits) == errc::quota_exceeded)); // two are in flight
  q.confirm(upload_of_user(1, "ann", 10), 10);
  BOOST_TEST((q.reserve(tomorrow, limits) == errc{}));                                   // a new day
  BOOST_TEST((q.reserve(upload_of_user(5, "bob", 41), limits) == errc::quota_exceeded)); // of the profile
  BOOST_TEST((q.usage("bob").user == quota_totals{}));
  BOOST_TEST((q.usage("bob").all == quota_totals{10, 50, 2})); // the refused one has left nothing
  BOOST_TEST((q.reserve(upload_of_user(6, "bob", 40), limits) == errc{}));
  BOOST_TEST((q.reserve(upload_of_user(7, "cat", 0), limits) == errc::quota_exceeded)); // three are in flight
}

// Threads that reserve at once never get more than there is, and none is refused while there is room.
inline void check_many_reserve(const make_ledger_fn& make) {
  quota_checks q(make);
  std::atomic<int> reserved = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (unsigned n = 0; n < 50; ++n)
        if (run_task((*q).reserve(upload_of_user(t * 50 + n, "ann", 1), of_100))) ++reserved;
    });
  for (auto& t : threads) t.join();
  BOOST_TEST(reserved == 100);
  q.check("ann", {0, 100, 100});
}

// The totals stay when the rows of uploads are deleted; an upload that still reserves is not deleted.
inline void check_totals_survive_retention(const make_ledger_fn& make) {
  quota_checks q(make);
  const auto a = upload_of_user(1, "ann", 60), b = upload_of_user(2, "ann", 40);
  (void)q.reserve(a, of_100);
  (void)q.reserve(b, of_100);
  q.confirm(a, 60);
  (*q).start_receiving(b, "t1");
  (void)run_task((*q).fail(b, "t1", "timed_out", at_second(3)));
  const auto later = at_second(0) + std::chrono::days(400);
  BOOST_TEST(run_task((*q).purge_uploads(later, 100)).value() == 1u);
  BOOST_TEST(run_task((*q).find(b.id)).has_value());
  BOOST_TEST((q.usage("ann").user == quota_totals{60, 40, 1}));
  BOOST_TEST((q.usage("ann").user_of_day == quota_totals{60, 40, 1})); // it still reserves
  q.expire(b);
  BOOST_TEST(run_task((*q).purge_uploads(later, 100)).value() == 1u);
  BOOST_TEST((q.usage("ann").user == quota_totals{60, 0, 0}));
  BOOST_TEST((q.usage("ann").user_of_day == quota_totals{})); // that day is long over
}

inline void check_uploads_without_quota(const make_ledger_fn& make) {
  quota_checks q(make);
  const auto a = upload_of_user(1, "ann", 60);
  (*q).issue(a);
  q.confirm(a, 60);
  BOOST_TEST((q.usage("ann").user == quota_totals{}));
}

inline void check_quotas(const make_ledger_fn& make) {
  check_reservations(make);
  check_settlement(make);
  check_charged_overwrites(make);
  check_failed_uploads_reserve(make);
  check_limits_of_all(make);
  check_many_reserve(make);
  check_totals_survive_retention(make);
  check_uploads_without_quota(make);
}

} // namespace postern::test
