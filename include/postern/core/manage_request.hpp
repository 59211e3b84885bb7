// The bodies of the requests by which an application manages an upload. Pure. JSON (RFC 8259); an empty body is {}.
#pragma once

#include <postern/base/error.hpp>

#include <string>
#include <string_view>

namespace postern {

inline constexpr std::size_t max_reference = 1024; // bytes

// {"reference": "order-17"} or {}: the application's own name for a claimed upload, UTF-8 without control characters;
// empty without one. errc::bad_request says what is wrong.
result<std::string> parse_claim_body(std::string_view body);

} // namespace postern
