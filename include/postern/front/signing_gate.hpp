// The gate ahead of signing, and of questions about uploads: decides who sent a request, and whether this caller may
// have an answer now. Checks the request's credentials, its page's origin and the caller's rates. Owned by the node,
// shared by all threads.
#pragma once

#include <postern/core/caller.hpp>
#include <postern/flow/admission/admit.hpp>
#include <postern/flow/admission/request_limits.hpp>
#include <postern/front/cors.hpp>
#include <postern/front/http_message.hpp>

#include <vector>

namespace postern::front {

class signing_gate {
public:
  // The arguments must outlive this.
  signing_gate(const admitter& admission, const cors_rules& cors, request_limits& limits)
      : admission_(admission), cors_(cors), limits_(limits) {}

  // The caller that the credentials name. `to_read`: the request changes nothing; see cors_rules::may_use_cookies.
  // Fails as admitter::admit does.
  task<result<caller>> identify(const request& r, bool to_read = true) const;

  // The caller, who may have forms signed. Fails as identify does. Also errc::forbidden: no right to sign, or a page of
  // an origin that is not listed.
  task<result<caller>> admit_to_sign(const request& r) const;

  // Counts one form for this caller's user, or for the client's network if the caller is anonymous: a back end signs
  // for all its users from one address. errc::too_many_requests: limits.sign_rate is reached.
  result<void> count_form(const request& r, const caller& who) const;

  // Counts one question about an upload or a quota for the client's network. errc::too_many_requests:
  // limits.status_rate is reached.
  result<void> count_question(const request& r) const;
  // The same for the caller's user. No effect for an anonymous one.
  result<void> count_question(const caller& who) const;

  // Places of one event stream: of the client's network, and of the caller's user if there is one.
  using stream_places = std::vector<concurrency_limiter::place>;
  // Counts a new event stream. `who`: nullptr if the request has no valid credentials. errc::too_many_requests:
  // limits.event_stream_rate or limits.event_streams is reached.
  result<stream_places> open_stream(const request& r, const caller* who) const;

private:
  const admitter& admission_;
  const cors_rules& cors_;
  request_limits& limits_;
};

} // namespace postern::front
