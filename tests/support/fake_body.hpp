// A body in memory, for tests of flows.
#pragma once

#include <postern/io/byte_source.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>

namespace postern::test {

struct fake_body final : byte_source {
  explicit fake_body(std::string text) : bytes(std::move(text)), announces(bytes.size()) {}

  std::string bytes;
  std::size_t piece = 64 << 10;              // bytes that one read brings at most
  std::size_t breaks_at = std::string::npos; // the read from this byte on fails with `breaks_with`
  errc breaks_with = errc::incomplete_body;
  std::optional<std::uint64_t> announces;
  std::function<void()> on_read; // called at the beginning of each read
  std::size_t reads = 0, taken = 0;
  bool is_interrupted = false;

  task<result<std::size_t>> read_some(std::span<char> into) override {
    ++reads;
    if (on_read) on_read();
    if (is_interrupted || taken >= breaks_at) co_return failure{breaks_with, "the test's body"};
    const auto n = std::min({into.size(), piece, bytes.size() - taken, breaks_at - taken});
    std::memcpy(into.data(), bytes.data() + taken, n);
    taken += n;
    co_return n;
  }
  task<result<void>> wait() override { co_return result<void>{}; }
  void interrupt() override { is_interrupted = true; }
  std::optional<std::uint64_t> announced_size() const override { return announces; }
};

} // namespace postern::test
