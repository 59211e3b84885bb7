#include <postern/io/net/body_reader.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace postern {

using std::chrono::steady_clock;
using namespace std::chrono_literals;

body_reader::body_reader(connection& from, const framing& how, body_limits limits, allowance& share)
    : from_(from), share_(share), how_(how), limits_(limits), left_(how.length),
      is_complete_(how.body == framing::body_kind::none || (how.body == framing::body_kind::sized && how.length == 0)) {
  share_.serve({[this] { from_.interrupt(); }, [this] { return is_client_gone(); }});
  share_.expect(announced_size().value_or(1ull << 50));
}

body_reader::~body_reader() { share_.serve({}); }

std::optional<std::uint64_t> body_reader::announced_size() const {
  if (how_.body == framing::body_kind::chunked) return std::nullopt;
  return how_.length;
}

// Also before the read or wait that it is to end has begun.
void body_reader::interrupt() {
  is_interrupted_ = true;
  from_.interrupt();
}

result<void> body_reader::check() const {
  if (is_interrupted_) return failure{errc::incomplete_body, "the rest of the body is not wanted"};
  return share_.check();
}

// Invites the client to send its body, if it waits for that.
task<result<void>> body_reader::begin() {
  if (std::exchange(has_begun_, true) || !how_.expects_continue || !from_.ahead().empty()) co_return result<void>{};
  co_return co_await from_.write("HTTP/1.1 100 Continue\r\n\r\n");
}

task<result<void>> body_reader::wait() {
  if (is_complete_) co_return result<void>{};
  if (auto may_go_on = check(); !may_go_on) co_return may_go_on;
  auto begun = co_await begin();
  if (!begun || !from_.ahead().empty()) co_return begun;
  from_.expires_after(limits_.max_silence);
  const auto since = steady_clock::now();
  share_.begin_wait();
  auto waited = co_await from_.wait_readable();
  co_return end_wait(waited, 0, since);
}

task<result<std::size_t>> body_reader::read_some(std::span<char> into) {
  if (is_complete_) co_return std::size_t{0};
  if (auto may_go_on = check(); !may_go_on) co_return may_go_on.error();
  auto begun = co_await begin();
  if (!begun) co_return begun.error();
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
  const auto since = steady_clock::now();
  share_.begin_wait();
  auto n = co_await from_.read_some(into);
  if (auto ended = end_wait(n ? result<void>{} : n.error(), n ? *n : 0, since); !ended) co_return ended.error();
  if (*n == 0) co_return failure{errc::incomplete_body, "the client closed the connection before the end of the body"};
  window_bytes_ += *n;
  if (auto steady = check_rate(); !steady) co_return steady.error();
  co_return n;
}

result<void> body_reader::end_wait(const result<void>& how, std::size_t arrived, steady_clock::time_point since) {
  share_.end_wait(arrived);
  if (auto may_stay = share_.check(); !may_stay) return may_stay;
  // Between reads the store works on the bytes. That time does not count as the client's silence.
  if (!from_.is_expired()) from_.expires_after(0ms);
  window_time_ += steady_clock::now() - since;
  if (how) return {};
  if (how.error().code == errc::timed_out)
    return failure{errc::timed_out, "no byte of the body came within limits.body_silence"};
  return failure{errc::incomplete_body, "the connection broke off in the middle of the body"};
}

bool body_reader::is_client_gone() const {
  if (is_complete_) return from_.has_peer_left(0); // it may have closed its side only, and wait for the response
  const auto still_needed =
      how_.body == framing::body_kind::sized ? left_ - std::min<std::uint64_t>(left_, from_.ahead().size()) : 1;
  return from_.has_peer_left(still_needed);
}

// Only the time spent waiting for the client counts: a slow store must not make the client look slow.
result<void> body_reader::check_rate() {
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
