// Points in time and their text forms in the protocols. Pure, except for the functions that read the system's clock.
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
// Parses only the form of amz_date. errc::invalid_argument.
result<seconds_clock> parse_amz_date(std::string_view text);
// 2026-11-23T18:15:00Z
std::string iso8601(seconds_clock t);
std::string iso8601_millis(millis_clock t); // 2026-11-23T18:15:00.123Z
// Parses 2026-11-23T18:15:00Z and drops a fraction. Only Z is accepted, as in S3. errc::invalid_argument.
result<seconds_clock> parse_iso8601(std::string_view text);
// Mon, 23 Nov 2026 18:15:00 GMT (RFC 9110 §5.6.7)
std::string http_date(seconds_clock t);
// Parses only the form of http_date. errc::invalid_argument.
result<seconds_clock> parse_http_date(std::string_view text);

// Reads the system's clock. Core and flow do not call these: time is a parameter there.
millis_clock now_millis();

} // namespace postern
