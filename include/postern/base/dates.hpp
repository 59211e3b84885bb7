// Moments, and their text forms, each as the protocols want it.
#pragma once

#include <postern/base/error.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace postern {

using seconds_clock = std::chrono::sys_seconds; // a moment, to the second, UTC
using millis_clock = std::chrono::sys_time<std::chrono::milliseconds>;

// 20261123T181500Z, the form of x-amz-date.
std::string amz_date(seconds_clock t);
// Reads that form only; errc::invalid_argument.
result<seconds_clock> parse_amz_date(std::string_view text);
// 2026-11-23T18:15:00Z
std::string iso8601(seconds_clock t);
std::string iso8601_millis(millis_clock t); // 2026-11-23T18:15:00.123Z
// Takes 2026-11-23T18:15:00Z with optional fraction (dropped); Z only, as S3. errc::invalid_argument.
result<seconds_clock> parse_iso8601(std::string_view text);
// Mon, 23 Nov 2026 18:15:00 GMT (RFC 9110 §5.6.7)
std::string http_date(seconds_clock t);
// Reads that form only; errc::invalid_argument.
result<seconds_clock> parse_http_date(std::string_view text);

// By the system's clock. Not for core and flow: there time is a parameter.
millis_clock now_millis();

} // namespace postern
