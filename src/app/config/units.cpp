#include <postern/app/config/config.hpp>
#include <postern/app/config/units.hpp>
#include <postern/base/error.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace postern::app {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

// A number without a unit has the first unit.
constexpr std::array<unit, 9> size_units{{{"B", 1},
                                          {"KB", 1000},
                                          {"KiB", 1ull << 10},
                                          {"MB", 1000'000},
                                          {"MiB", 1ull << 20},
                                          {"GB", 1000'000'000},
                                          {"GiB", 1ull << 30},
                                          {"TB", 1000'000'000'000},
                                          {"TiB", 1ull << 40}}};
constexpr std::array<unit, 5> time_units{{{"s", 1000}, {"ms", 1}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

// `max_text` is the maximum as an error shows it.
std::uint64_t parse_with_unit(std::string_view text, std::span<const unit> units, std::uint64_t max,
                              std::string_view max_text, const char* what) {
  std::uint64_t n = 0;
  const auto* end = text.data() + text.size();
  const auto [rest, ec] = std::from_chars(text.data(), end, n);
  std::string_view name(rest, static_cast<std::size_t>(end - rest));
  while (name.starts_with(' ')) name.remove_prefix(1);
  const auto found = name.empty()
                         ? units.begin()
                         : std::find_if(units.begin(), units.end(), [&](const unit& u) { return u.name == name; });
  if (ec == std::errc::invalid_argument || found == units.end()) throw config_error(quote(text) + " is not " + what);
  if (ec != std::errc{} || n > max / found->factor)
    throw config_error(quote(text) + " is too large; the maximum is " + std::string(max_text));
  return n * found->factor;
}

// The number in the largest unit that divides it without a remainder.
std::string text_with_unit(std::uint64_t value, std::span<const unit> units, std::string_view smallest) {
  const unit* best = nullptr;
  for (const auto& u : units)
    if (value != 0 && value % u.factor == 0 && (!best || u.factor > best->factor)) best = &u;
  return best ? std::to_string(value / best->factor) + std::string(best->name == "B" ? "" : best->name)
              : "0" + std::string(smallest);
}

} // namespace

std::uint64_t parse_size(std::string_view text, std::uint64_t max) {
  const auto max_text = max == UINT64_MAX ? "16777215TiB" : size_text(max);
  return parse_with_unit(text, size_units, max, max_text, "a size; write it like \"512\", \"64KiB\" or \"5GiB\"");
}

std::chrono::milliseconds parse_time(std::string_view text) {
  const auto ms = parse_with_unit(text, time_units, 1000ull * 86'400'000, "1000d",
                                  "a time; write it like \"500ms\", \"30s\", \"15m\" or \"24h\"");
  return std::chrono::milliseconds(static_cast<std::int64_t>(ms));
}

std::string size_text(std::uint64_t bytes) { return text_with_unit(bytes, size_units, ""); }

std::string time_text(std::chrono::milliseconds time) {
  return text_with_unit(static_cast<std::uint64_t>(time.count()), time_units, "s");
}

} // namespace postern::app
