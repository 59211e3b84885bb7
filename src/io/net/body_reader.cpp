#include <postern/io/net/body_reader.hpp>

#include <algorithm>
#include <cstring>
#include <string>

namespace postern {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

body_reader::body_reader(connection& from, const framing& how, body_limits limits)
    : from_(from), how_(how), limits_(limits), left_(how.length),
      is_complete_(how.body == framing::body_kind::none || (how.body == framing::body_kind::sized && how.length == 0)) {
}

std::optional<std::uint64_t> body_reader::announced_size() const {
  if (how_.body == framing::body_kind::chunked) return std::nullopt;
  return how_.length;
}

task<result<std::size_t>> body_reader::read_some(std::span<char> into) {
  if (is_complete_) co_return std::size_t{0};
  if (!has_begun_) {
    has_begun_ = true;
    if (how_.expects_continue && from_.ahead().empty()) {
      auto written = co_await from_.write("HTTP/1.1 100 Continue\r\n\r\n");
      if (!written) co_return written.error();
    }
  }
  if (how_.body == framing::body_kind::chunked) co_return co_await read_chunked(into);
  auto n = co_await read_raw(into.first(std::min<std::uint64_t>(into.size(), left_)));
  if (!n) co_return n.error();
  left_ -= *n;
  is_complete_ = left_ == 0;
  co_return n;
}

task<result<std::size_t>> body_reader::read_raw(std::span<char> into) {
  if (const auto ahead = from_.ahead(); !ahead.empty()) {
    const auto n = std::min(ahead.size(), into.size());
    std::memcpy(into.data(), ahead.data(), n);
    from_.use(n);
    co_return n;
  }
  from_.expires_after(limits_.max_silence);
  const auto begin = steady_clock::now();
  auto n = co_await from_.read_some(into);
  // Between reads the store works on the bytes. That time does not count as the client's silence.
  if (!from_.is_expired()) from_.expires_after(0ms);
  if (!n) {
    if (n.error().code == errc::timed_out)
      co_return failure{errc::timed_out, "no byte of the body came within limits.body_silence"};
    co_return failure{errc::incomplete_body, "the connection broke off in the middle of the body"};
  }
  if (*n == 0) co_return failure{errc::incomplete_body, "the client closed the connection before the end of the body"};
  if (auto steady = check_rate(*n, steady_clock::now() - begin); !steady) co_return steady.error();
  co_return n;
}

// Only the time spent waiting for the client counts: a slow store must not make the client look slow.
result<void> body_reader::check_rate(std::size_t bytes, steady_clock::duration waited) {
  window_bytes_ += bytes;
  window_time_ += waited;
  if (limits_.min_rate == 0 || window_time_ < limits_.rate_window) return {};
  const auto rate = static_cast<double>(window_bytes_) / std::chrono::duration<double>(window_time_).count();
  if (rate < static_cast<double>(limits_.min_rate))
    return failure{errc::timed_out, "the body came with " + std::to_string(static_cast<std::uint64_t>(rate)) +
                                        " bytes a second; limits.min_body_rate is " + std::to_string(limits_.min_rate)};
  window_bytes_ = 0;
  window_time_ = {};
  return {};
}

task<result<std::size_t>> body_reader::read_chunked(std::span<char> into) {
  for (;;) {
    auto n = co_await read_raw(into);
    if (!n) co_return n.error();
    // The decoder's views point into the caller's buffer: the data moves to its front, over the framing.
    std::span<const char> raw = into.first(*n);
    std::size_t size = 0;
    while (!raw.empty() && !chunks_.done()) {
      auto run = chunks_.next(raw);
      if (!run) co_return run.error();
      if (run->empty()) continue;
      std::memmove(into.data() + size, run->data(), run->size());
      size += run->size();
    }
    is_complete_ = chunks_.done();
    if (!raw.empty()) from_.put_back({raw.data(), raw.size()});
    if (size || is_complete_) co_return size;
  }
}

} // namespace postern
