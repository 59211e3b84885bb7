// How many connections and uploads this process can take, given its file descriptors and its memory. Used at start-up.
#pragma once

#include <postern/app/config/config.hpp>

#include <algorithm>
#include <cstdint>

namespace postern::app {

// Raises the soft limit of file descriptors to the hard one (getrlimit(2), RLIMIT_NOFILE). Returns how many there may
// be.
std::uint64_t raise_descriptor_limit();

struct capacity {
  std::uint64_t connections = 0;    // of clients
  std::uint64_t store_requests = 0; // of uploads

  // The sockets of both, as an estimate for a busy node.
  std::uint64_t sockets() const { return std::min<std::uint64_t>(connections + 2 * store_requests, 30'000); }
};

// limits.connections and limits.store_requests, lowered to what `descriptors` and limits.buffers allow, so that the
// store, the ledger and the log always find a descriptor, and connections take at most half of the memory. Logs a
// warning when it has lowered a limit.
capacity plan_capacity(const config& c, std::uint64_t descriptors);

} // namespace postern::app
