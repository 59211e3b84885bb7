// The bodies of the requests by which an application manages an upload, and its verdicts. Pure. JSON (RFC 8259); an
// empty body is {}.
#pragma once

#include <postern/base/error.hpp>

#include <string>
#include <string_view>

namespace postern {

inline constexpr std::size_t max_reference = 1024; // bytes

// {"reference": "order-17"} or {}: the application's own name for a claimed upload, UTF-8 without control characters;
// empty without one. errc::bad_request says what is wrong.
result<std::string> parse_claim_body(std::string_view body);

inline constexpr std::size_t max_reason = 500; // bytes

// {"reason": "a virus: EICAR"} or {}: why an upload is rejected. As parse_claim_body.
result<std::string> parse_reject_body(std::string_view body);

struct verdict {
  bool is_accepted = false;
  std::string reason; // of a rejection
};

// An accept hook's answer: {"verdict": "accept"} or {"verdict": "reject", "reason": "…"}; further members are ignored.
// The reason is cut to max_reason bytes, without control characters. errc::bad_request says what is wrong.
result<verdict> parse_verdict(std::string_view body);

} // namespace postern
