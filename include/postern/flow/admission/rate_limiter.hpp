// Limits how often each of many users may do something, with one token bucket a user. A user may be a caller, or a form
// that is posted. Shared by all threads.
#pragma once

#include <postern/base/error.hpp>

#include <chrono>
#include <cstdint>
#include <memory_resource>
#include <mutex>
#include <string>
#include <unordered_map>

namespace postern {

class rate_limiter {
public:
  using time_point = std::chrono::steady_clock::time_point;

  // 0 a second: no limit. A burst below the rate counts as the rate. `refusal` says what the limit is, for the client.
  rate_limiter(std::uint64_t per_second, std::uint64_t burst, std::string refusal);

  // Takes one token from the user's bucket. errc::too_many_requests when the bucket is empty.
  result<void> take(const std::string& user, time_point now);

private:
  struct bucket {
    double tokens;
    time_point filled_at;
  };
  double tokens_at(const bucket& b, time_point now) const;

  const double per_second_, burst_;
  const std::string refusal_;
  std::mutex mutex_;
  // The buckets lie close together. Between the memory of connections, each would keep a page from the system.
  std::pmr::unsynchronized_pool_resource memory_;
  std::pmr::unordered_map<std::pmr::string, bucket> buckets_{&memory_}; // by user
};

} // namespace postern
