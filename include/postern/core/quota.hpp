// Quotas: how much the uploads of one profile may hold together, for each user and for all. The ledger keeps the totals
// (io/rows/quota_rows); this unit says what the limits are and why an upload is refused. Pure.
//
// Signing reserves the most that the form allows, in bytes. The completion replaces it by the true size. What is
// reserved and never completed is given back when the form has expired and the store was asked for the last time. A day
// is one of UTC, and an upload counts to the day on which it was signed.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

// The limits of one profile. 0: no limit.
struct quota {
  std::uint64_t per_user_day = 0, per_user = 0, per_day = 0, total = 0; // bytes
  std::uint64_t per_user_in_flight = 0, in_flight = 0;                  // uploads that are signed and not yet ended

  bool empty() const { return *this == quota{}; }
  bool operator==(const quota&) const = default;
};

// What the uploads of one profile hold: of one user or of all, on one day or on all days.
struct quota_totals {
  std::uint64_t used = 0, reserved = 0; // bytes of completed uploads, and of those in flight
  std::uint64_t in_flight = 0;          // uploads

  bool operator==(const quota_totals&) const = default;
};

// The four sums that an upload of this user, on this day, would count to.
struct quota_usage {
  quota_totals all, all_of_day, user, user_of_day;
};

// One of the four sums that each upload counts to, with the limits of its quota. 0: no limit.
struct quota_sum {
  bool is_of_user = false, is_of_day = false;
  std::uint64_t max_bytes = 0, max_in_flight = 0;

  // Do the totals leave room for that many bytes more?
  bool has_bytes(const quota_totals& now, std::uint64_t bytes) const;
};

// In the order in which their rows are changed: of the profile in all and for the day, then of the user.
std::array<quota_sum, 4> sums_of(const quota& q);

// Days since 1970 in UTC.
std::int64_t day_of(millis_clock at);
seconds_clock end_of_day(millis_clock at); // of the same day: midnight

// Why a file of that many bytes can never be uploaded under these limits: errc::payload_too_large. Success: it can.
result<void> fits_in(const quota& limits, std::uint64_t bytes);

// Why an upload is refused now: errc::quota_exceeded, with what is left and when there will be more.
failure over_quota(const quota_sum& sum, const quota_totals& now, std::uint64_t bytes, millis_clock at);

} // namespace postern
