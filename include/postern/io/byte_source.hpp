// The contract for the bytes of a request's body. Flows read bodies through it; io/net/body_reader implements it for
// connections, and tests/support/fake_body.hpp for tests.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/tasks.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace postern {

class byte_source {
public:
  virtual ~byte_source() = default;
  // Reads at least one byte into `into`, which must not be empty; returns 0 when the body is complete.
  // errc::incomplete_body when the body ends early, errc::timed_out when the client is silent or too slow,
  // errc::bad_request when its framing is wrong.
  virtual task<result<std::size_t>> read_some(std::span<char> into) = 0;
  // Waits until read_some can return at once, or nearly so. A reader that waits needs no buffer yet. Fails as read_some
  // does.
  virtual task<result<void>> wait() = 0;
  // Ends a wait or read that is running, with errc::incomplete_body. Nothing can be read afterwards.
  virtual void interrupt() = 0;
  // The size that the request announced for its body, if it did.
  virtual std::optional<std::uint64_t> announced_size() const = 0;
};

} // namespace postern
