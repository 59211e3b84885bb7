// The bodies of the requests by which an application manages an upload, and its verdicts. Pure. JSON (RFC 8259); an
// empty body is {}. "Claim" here: the application keeps an upload. The token in a completion's URL is core/claim.
#pragma once

#include <postern/base/error.hpp>

#include <string>
#include <string_view>

namespace postern {

inline constexpr std::size_t max_reference = 1024, max_reason = 500, max_etag = 128; // bytes

// {"reference": "order-17"} or {}: the application's own name for a claimed upload, UTF-8 without control characters;
// empty without one. errc::bad_request says what is wrong.
result<std::string> parse_claim_body(std::string_view body);

struct verdict {
  bool is_accepted = false;
  std::string reason; // of a rejection
  std::string etag;   // of the object that was judged; empty: not said
};

// The bodies of POST …/accept, {"etag": "9a71…"} or {}, and of POST …/reject, which also takes {"reason": "a virus"}.
// As parse_claim_body.
result<verdict> parse_accept_body(std::string_view body);
result<verdict> parse_reject_body(std::string_view body);

// An accept hook's answer: {"verdict": "accept"} or {"verdict": "reject", "reason": "…"}; further members are ignored.
// The reason is cut to max_reason bytes, without control characters. errc::bad_request says what is wrong.
result<verdict> parse_verdict(std::string_view body);

} // namespace postern
