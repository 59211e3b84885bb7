// The contract for the bytes of a request's body.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/tasks.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace postern {

// Where the bytes of a body come from. For flows; the tests have fakes.
class byte_source {
public:
  virtual ~byte_source() = default;
  // At least one byte into `into`, or 0 when the body is whole. errc::incomplete_body when it broke off,
  // errc::timed_out for silence or a rate under the minimum, errc::bad_request for broken framing.
  virtual task<result<std::size_t>> read_some(std::span<char> into) = 0;
  // The size that was announced, where one was.
  virtual std::optional<std::uint64_t> announced() const = 0;
};

} // namespace postern
