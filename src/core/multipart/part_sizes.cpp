#include <postern/core/multipart/part_sizes.hpp>

#include <algorithm>
#include <string>

namespace postern {
namespace {

constexpr std::uint64_t usual_part_size = 16 << 20, unit = 1 << 20;

std::uint64_t rounded_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) / to * to; }

} // namespace

int part_plan::count() const { return std::max(1, static_cast<int>((size + part_size - 1) / part_size)); }

std::uint64_t part_plan::length(int number) const {
  return number < count() ? part_size : size - part_size * static_cast<std::uint64_t>(count() - 1);
}

part_plan plan_multipart(std::uint64_t size) {
  const auto smallest = (size + max_parts - 1) / max_parts;
  return {size, std::max(usual_part_size, rounded_up(smallest, unit))};
}

result<void> check_parts(const part_plan& plan, const std::map<int, std::uint64_t>& lengths) {
  for (int number = 1; number <= plan.count(); ++number) {
    const auto found = lengths.find(number);
    if (found == lengths.end())
      return failure{errc::conflict, "part " + std::to_string(number) + " of " + std::to_string(plan.count()) +
                                         " is not in the store; send it, and complete again"};
    if (found->second != plan.length(number))
      return failure{errc::conflict, "part " + std::to_string(number) + " has " + std::to_string(found->second) +
                                         " bytes in the store, and must have " + std::to_string(plan.length(number)) +
                                         "; send it again"};
  }
  if (lengths.rbegin()->first > plan.count())
    return failure{errc::conflict, "the store has a part " + std::to_string(lengths.rbegin()->first) +
                                       ", and the file has " + std::to_string(plan.count()) + " parts only"};
  return {};
}

} // namespace postern
