// The limits of what a caller may ask for: forms, states of uploads, event streams. Owned by the node, shared by all
// threads. A user of a limit is a client's network, or a caller's name and user with a slash between them, so that the
// two never have the same name.
#pragma once

#include <postern/flow/admission/concurrency_limiter.hpp>
#include <postern/flow/admission/rate_limiter.hpp>

#include <cstdint>

namespace postern {

// 0 switches a limit off.
struct request_rates {
  std::uint64_t sign = 0, sign_burst = 0;     // forms a second
  std::uint64_t status = 0, status_burst = 0; // questions about uploads and quotas a second
  std::uint64_t stream = 0, stream_burst = 0; // event streams that begin in a second
  std::uint64_t streams = 0;                  // event streams at the same time, on one node
};

struct request_limits {
  explicit request_limits(const request_rates& r);

  rate_limiter sign, status, stream;
  concurrency_limiter streams;
};

} // namespace postern
