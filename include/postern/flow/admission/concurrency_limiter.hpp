// Limits how many of something each of many users may have at the same time, such as event streams. Shared by all
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace postern {

class concurrency_limiter {
public:
  // 0: no limit.
  explicit concurrency_limiter(std::uint64_t max) : max_(max) {}

  // One place, until it is destroyed. It must not outlive the limiter.
  class place {
  public:
    place(concurrency_limiter& of, std::string user) : of_(&of), user_(std::move(user)) {}
    place(place&& other) noexcept : of_(std::exchange(other.of_, nullptr)), user_(std::move(other.user_)) {}
    place& operator=(place&& other) = delete;
    ~place() {
      if (of_) of_->leave(user_);
    }

  private:
    concurrency_limiter* of_;
    std::string user_;
  };

  // Nothing: the user has all its places.
  std::optional<place> enter(const std::string& user) {
    std::lock_guard lock(mutex_);
    auto& taken = by_user_[user];
    if (max_ && taken >= max_) return std::nullopt;
    ++taken;
    return std::optional<place>(std::in_place, *this, user);
  }

private:
  void leave(const std::string& user) {
    std::lock_guard lock(mutex_);
    if (const auto found = by_user_.find(user); --found->second == 0) by_user_.erase(found);
  }

  const std::uint64_t max_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::uint64_t> by_user_;
};

} // namespace postern
