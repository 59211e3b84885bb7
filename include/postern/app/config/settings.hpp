// Values as they are written in a configuration: sizes, times, secrets, addresses. Each reader answers the value or
// throws config_error with what is wrong and how it must be.
#pragma once

#include <postern/app/config/config.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

std::uint64_t parse_size(std::string_view text);             // "5GiB", "20KB", "512"
std::chrono::milliseconds parse_time(std::string_view text); // "15m", "500ms", "30" (seconds)
bool is_origin(std::string_view text);
// The one of `known` that takes the fewest changes to become `word`; empty when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

// The secret in a file, without the line end. With `make`, a missing file is made with 32 random bytes in hex, mode
// 0600, whole or not at all.
secret secret_from_file(const std::filesystem::path& file, bool make);

} // namespace postern::app
