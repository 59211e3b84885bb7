// Connects to a server that has several addresses (RFC 8305, Happy Eyeballs): the next address is tried when the last
// one has not answered after 250 ms, or at once when it has failed. The first connection wins, and the others are
// closed. So an address that swallows packets costs a quarter of a second. Used on the caller's thread.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/net/name_lookup.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>

namespace postern {

inline constexpr std::chrono::milliseconds dial_pause{250}; // RFC 8305 §5, "Connection Attempt Delay"

// A connected socket. errc::unavailable, with the reason of the first address, when no address can be connected to.
// Waits as long as the system does: call it under within(). `to` must not be empty.
task<result<tcp_socket>> dial(name_lookup::endpoints to);

// The endpoints in the order in which they are tried (RFC 8305 §4): the families alternate, beginning with that of the
// first endpoint, and each family keeps its own order. Pure.
name_lookup::endpoints interleave_families(const name_lookup::endpoints& found);

} // namespace postern
