#include <postern/core/quota.hpp>

#include <algorithm>

namespace postern {
namespace {

std::string name_of(const quota_sum& sum) {
  return std::string(sum.is_of_user ? "this user's quota" : "the profile's quota") + (sum.is_of_day ? " of today" : "");
}

std::string bytes_text(std::uint64_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); }

} // namespace

bool quota_sum::has_bytes(const quota_totals& now, std::uint64_t bytes) const {
  const auto held = now.used + now.reserved;
  return !max_bytes || (held <= max_bytes && bytes <= max_bytes - held);
}

std::array<quota_sum, 4> sums_of(const quota& q) {
  return {{{false, false, q.total, q.in_flight},
           {false, true, q.per_day, 0},
           {true, false, q.per_user, q.per_user_in_flight},
           {true, true, q.per_user_day, 0}}};
}

std::int64_t day_of(millis_clock at) { return std::chrono::floor<std::chrono::days>(at).time_since_epoch().count(); }

seconds_clock end_of_day(millis_clock at) { return std::chrono::floor<std::chrono::days>(at) + std::chrono::days(1); }

result<void> fits_in(const quota& limits, std::uint64_t bytes) {
  for (const auto& sum : sums_of(limits))
    if (sum.max_bytes && bytes > sum.max_bytes)
      return failure{errc::payload_too_large, "the form would allow " + bytes_text(bytes) + ", and " + name_of(sum) +
                                                  " is " + bytes_text(sum.max_bytes) +
                                                  " in all; declare the file's size, if it is smaller"};
  return {};
}

failure over_quota(const quota_sum& sum, const quota_totals& now, std::uint64_t bytes, millis_clock at) {
  if (!sum.has_bytes(now, bytes)) {
    const auto left = sum.max_bytes - std::min(now.used + now.reserved, sum.max_bytes);
    std::string text = name_of(sum) + " has " + bytes_text(left) + " left of " + std::to_string(sum.max_bytes) +
                       ", and the form would allow " + bytes_text(bytes);
    if (now.reserved) text += "; up to " + bytes_text(now.reserved) + " of uploads in flight may become free";
    if (sum.is_of_day) text += "; there is more from " + iso8601(end_of_day(at));
    return {errc::quota_exceeded, std::move(text)};
  }
  return {errc::quota_exceeded, name_of(sum) + " allows " + std::to_string(sum.max_in_flight) +
                                    " uploads in flight; there is room when one of them ends or its form expires"};
}

} // namespace postern
