// Callers by the hash of the credentials that named them, so that credentials which come again are not verified again.
// Shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/digest.hpp>
#include <postern/core/caller.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace postern {

class remembered_callers {
public:
  // What the verification relied on, such as a set of keys. Other grounds make all callers forgotten.
  using grounds = std::shared_ptr<const void>;

  std::optional<caller> find(const sha256_bytes& credentials, const grounds& on, seconds_clock now) const;
  void add(const sha256_bytes& credentials, const grounds& on, const caller& who, seconds_clock expires,
           seconds_clock now);

private:
  struct remembered {
    caller who;
    seconds_clock expires;
  };
  mutable std::mutex mutex_;
  grounds on_;
  std::map<sha256_bytes, remembered> callers_;
};

} // namespace postern
