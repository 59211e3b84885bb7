// Reads the body of one request from its connection: first the bytes that the connection has read ahead, then
// bytes from the socket, straight into the caller's buffer. Removes chunked framing and enforces the limits for slow
// clients. Lives in the frame of the session that serves the request.
#pragma once

#include <postern/core/http/framing.hpp>
#include <postern/io/allowance.hpp>
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
  // `from` and `share` must outlive the reader. The body begins with the bytes that `from` has read ahead. The reader
  // tells `share` how fast the client is; when `share` has to leave, reading ends with that failure.
  body_reader(connection& from, const framing& how, body_limits limits, allowance& share);
  body_reader(const body_reader&) = delete;
  body_reader& operator=(const body_reader&) = delete;
  ~body_reader() override;

  // Sends 100 Continue before the first read when the request expects it and no byte of the body has arrived.
  task<result<std::size_t>> read_some(std::span<char> into) override;
  task<result<void>> wait() override;
  void interrupt() override;
  std::optional<std::uint64_t> announced_size() const override; // nothing when the body is chunked

  // Whether the client has hung up, although the rest of the body has not arrived. Looks at the socket without reading:
  // for the time in which nobody reads.
  bool is_client_gone() const;
  bool is_complete() const { return is_complete_; } // the whole body, its framing included, has been read

private:
  result<void> check() const;
  task<result<void>> begin();
  task<result<std::size_t>> read_raw(std::span<char> into);
  // The wait or read that began at `since` has ended.
  result<void> end_wait(const result<void>& how, std::size_t arrived, std::chrono::steady_clock::time_point since);
  task<result<std::size_t>> read_chunked(std::span<char> into);
  result<void> check_rate();

  connection& from_;
  allowance& share_;
  const framing how_;
  const body_limits limits_;
  chunk_decoder chunks_;
  std::uint64_t left_; // bytes of a sized body that are still to be read
  bool is_complete_, has_begun_ = false, is_interrupted_ = false;
  std::uint64_t window_bytes_ = 0;
  std::chrono::steady_clock::duration window_time_{};
};

} // namespace postern
