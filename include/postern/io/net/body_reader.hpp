// Reads the body of one request from its connection: first the bytes that the connection has read ahead, then
// bytes from the socket, straight into the caller's buffer. Removes chunked framing and enforces the limits for slow
// clients. Lives in the frame of the session that serves the request.
#pragma once

#include <postern/core/http/framing.hpp>
#include <postern/io/byte_source.hpp>
#include <postern/io/net/wire.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace postern {

struct body_limits {
  std::chrono::milliseconds max_silence{30'000}; // the longest wait for a byte; 0: no limit
  std::uint64_t min_rate = 1024;                 // bytes a second, averaged over rate_window; 0: no limit
  std::chrono::milliseconds rate_window{30'000}; // only time spent waiting for the client counts
};

class body_reader final : public byte_source {
public:
  // `from` must outlive the reader. The body begins with the bytes that `from` has read ahead.
  body_reader(connection& from, const framing& how, body_limits limits);

  // Sends 100 Continue before the first read when the request expects it and no byte of the body has arrived.
  task<result<std::size_t>> read_some(std::span<char> into) override;
  std::optional<std::uint64_t> announced_size() const override; // nothing when the body is chunked

  bool is_complete() const { return is_complete_; } // the whole body, its framing included, has been read

private:
  task<result<std::size_t>> read_raw(std::span<char> into);
  task<result<std::size_t>> read_chunked(std::span<char> into);
  result<void> check_rate(std::size_t bytes, std::chrono::steady_clock::duration waited);

  connection& from_;
  const framing how_;
  const body_limits limits_;
  chunk_decoder chunks_;
  std::uint64_t left_; // bytes of a sized body that are still to be read
  bool is_complete_, has_begun_ = false;
  std::uint64_t window_bytes_ = 0;
  std::chrono::steady_clock::duration window_time_{};
};

} // namespace postern
