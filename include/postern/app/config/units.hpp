// Sizes and times as people write them in a configuration: "5GiB", "15m". Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern::app {

// "5GiB", "20KB", "512" (bytes). Throws config_error that quotes the text, also for more than `max` bytes.
std::uint64_t parse_size(std::string_view text, std::uint64_t max = UINT64_MAX);
// "15m", "500ms", "30" (seconds). Throws config_error that quotes the text, also for more than 1000 days.
std::chrono::milliseconds parse_time(std::string_view text);

// The shortest text that parse_size and parse_time read as this value.
std::string size_text(std::uint64_t bytes);
std::string time_text(std::chrono::milliseconds time);

} // namespace postern::app
