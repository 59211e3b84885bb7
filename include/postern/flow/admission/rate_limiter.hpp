// Limits how often each of many users may do something, with one token bucket a user. A user may be a caller, a
// client's network, or a form that is posted. Shared by all threads.
//
// Several nodes can hold one limit together: flow/admission/rate_exchange takes from the bucket here what other nodes
// have admitted. Only users whose use is noticeable are exchanged. take() never waits for that.
#pragma once

#include <postern/base/error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory_resource>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace postern {

class rate_limiter {
public:
  using time_point = std::chrono::steady_clock::time_point;

  // 0 a second: no limit. A burst below the rate counts as the rate. `refusal` says what the limit is, for the client.
  rate_limiter(std::uint64_t per_second, std::uint64_t burst, std::string refusal);

  // Takes one token from the user's bucket. errc::too_many_requests when the bucket is empty.
  result<void> take(std::string_view user, time_point now);

  // --- with other nodes ---

  // What a user took since the last round.
  struct use {
    std::string user;
    std::uint64_t taken = 0;
    bool operator==(const use&) const = default;
  };
  // Begins a round and returns the noticeable users of the one that ends, at most `max`, the heaviest first. A user is
  // noticeable who took a tenth of the rate, but at least one token, or who was kept in notice by take_elsewhere.
  std::vector<use> begin_round(std::size_t max);

  // Other nodes have admitted the user so often. The bucket then owes what it does not have, at most ten bursts. Until
  // it is full again, the user stays noticeable. Returns whether the bucket is not yet full.
  bool take_elsewhere(std::string_view user, std::uint64_t taken, time_point now);

private:
  struct bucket {
    double tokens; // below 0: other nodes admitted more than there was
    time_point filled_at;
    std::uint64_t round = 0; // to which `taken` belongs
    std::uint64_t taken = 0;
    bool is_noticed = false; // is in noticed_
  };
  struct hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using bucket_map = std::pmr::unordered_map<std::pmr::string, bucket, hash, std::equal_to<>>; // by user

  double tokens_at(const bucket& b, time_point now) const;
  bucket_map::value_type& find_or_add(std::string_view user, time_point now);
  void count(bucket_map::value_type& of);
  void notice(bucket_map::value_type& of);

  const double per_second_, burst_;
  const std::uint64_t noticeable_; // tokens a round
  const std::string refusal_;
  std::mutex mutex_;
  // The buckets lie close together. Between the memory of connections, each would keep a page from the system.
  std::pmr::unsynchronized_pool_resource memory_;
  bucket_map buckets_{&memory_};
  std::uint64_t round_ = 0;
  std::vector<bucket_map::value_type*> noticed_; // in this round; they are not erased before its end
};

} // namespace postern
