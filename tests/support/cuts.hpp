// Feeds one input to a parser in every way that a network may cut it: whole, in two at every place, and byte by byte.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace postern::test {

// Calls run(pieces) for each way. Long inputs are cut in two at `max_cuts` places evenly spread.
template <class Run> void for_every_cut(std::string_view input, Run run, std::size_t max_cuts = 4000) {
  run(std::vector<std::string_view>{input});
  const auto step = input.size() / max_cuts + 1;
  for (std::size_t at = 1; at < input.size(); at += step)
    run(std::vector<std::string_view>{input.substr(0, at), input.substr(at)});
  if (input.size() > 20'000) return;
  std::vector<std::string_view> bytes;
  for (std::size_t i = 0; i < input.size(); ++i) bytes.push_back(input.substr(i, 1));
  run(bytes);
}

} // namespace postern::test
