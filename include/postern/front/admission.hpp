// Who may sign, from where, and how often: API keys, origins and rates. Owned by the routes, shared by all threads.
#pragma once

#include <postern/base/error.hpp>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace postern::front {

struct api_key {
  std::string name;
  std::string sha256;                // lower-case hex of the key's SHA-256; the key itself is nowhere
  std::vector<std::string> profiles; // "*": all
};

struct admission_options {
  bool anonymous = false;
  std::vector<api_key> api_keys;
  std::string public_url;
  std::vector<std::string> allowed_origins;       // exact
  std::uint64_t sign_rate = 50, sign_burst = 100; // a second and user; 0: no limit
};

// Who was admitted. `key` is nullptr for the anonymous.
struct admitted {
  const api_key* key = nullptr;
  bool may_use(std::string_view profile) const;
};

class admission {
public:
  explicit admission(admission_options options);

  // errc::unauthorized: no key, or not one of ours. A key that is said must be right, even where the anonymous are let
  // in.
  result<admitted> who(std::string_view authorization) const;

  // May a page of this origin read our answers? The server's own origin may; "null" and what is not listed may not.
  bool knows_origin(std::string_view origin) const;
  // As a page sees it: also an origin that is the very address that was asked, whatever public_url says.
  bool is_same_host(std::string_view origin, std::string_view host, bool secure) const;

  // One more signing by this user: errc::too_many_requests when there were too many of late.
  result<void> count(const std::string& user, std::chrono::steady_clock::time_point now);

private:
  struct bucket {
    double tokens;
    std::chrono::steady_clock::time_point at;
  };
  const admission_options options_;
  std::string own_origin_;
  std::mutex mutex_;
  std::unordered_map<std::string, bucket> buckets_;
};

} // namespace postern::front
