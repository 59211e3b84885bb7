// The keys that verify tokens (core/http/jwt): fixed ones, or a JWK Set at a URL (RFC 7517 §5), which is fetched in the
// background and once more when a token names an unknown key. `node` owns them; every thread uses them.
#pragma once

#include <postern/core/http/jwt.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace postern {

class token_keys {
public:
  using list = std::shared_ptr<const std::vector<token_key>>;
  virtual ~token_keys() = default;

  // The keys to use now, without waiting. A new pointer means that the keys have changed. errc::unavailable: there are
  // none, or they are too old.
  virtual result<list> current() const = 0;

  // The keys after one more fetch, for a token whose key is not among the current ones. Callers share the fetch that
  // runs. If the last such fetch was less than `pause` ago, these are the current keys.
  virtual task<result<list>> refetch() = 0;

  // One round of the background task: fetches when the keys are due.
  virtual task<> keep_fresh() = 0;
};
using token_keys_ptr = std::unique_ptr<token_keys>;

// Keys that do not change.
token_keys_ptr make_fixed_keys(std::vector<token_key> keys);

struct jwks_options {
  web_url url;
  std::chrono::seconds refresh{300}; // between two fetches in the background
  std::chrono::seconds pause{30};    // between two fetches for unknown keys
  std::chrono::seconds retry{5};     // after a fetch that failed
  std::chrono::hours max_age{24};    // so long the keys are used when the server does not answer any more
  std::function<clock_point()> clock = std::chrono::steady_clock::now;
};

// `http` must outlive this, and this must outlive the loops on which it is used. Redirects are not followed, and a set
// may have 256 KiB. A shared secret in the set is ignored: a secret does not stand at a URL. A set that cannot be read
// leaves the old keys in use.
token_keys_ptr make_jwks(http_client& http, jwks_options options);

} // namespace postern
