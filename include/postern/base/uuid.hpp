// UUIDs of version 7 (RFC 9562 §5.7): 48 bits of time in milliseconds, then random bits. They sort by time.
#pragma once

#include <postern/base/dates.hpp>

#include <span>
#include <string>
#include <string_view>

namespace postern {

// The text form, in lower case, of a UUID made of `t` and of ten random bytes.
std::string uuid_v7(millis_clock t, std::span<const unsigned char, 10> random);
// The same with bytes from random_bytes.
std::string new_uuid_v7(millis_clock t);

// Is this the text form of a UUID (of any version), in lower case?
bool is_uuid(std::string_view text);
// The time in a UUID of version 7. is_uuid(text) must be true.
millis_clock time_of_uuid_v7(std::string_view text);

} // namespace postern
