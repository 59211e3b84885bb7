// The gate ahead of signing: decides who sent a request, and whether this caller may have a form signed now. Checks the
// request's credentials, its page's origin and the caller's rate. Owned by the node, shared by all threads.
#pragma once

#include <postern/core/caller.hpp>
#include <postern/flow/admission/admit.hpp>
#include <postern/flow/admission/rate_limiter.hpp>
#include <postern/front/cors.hpp>
#include <postern/front/http_message.hpp>

namespace postern::front {

class signing_gate {
public:
  // The arguments must outlive this.
  signing_gate(const admitter& admission, const cors_rules& cors, rate_limiter& signing_rate)
      : admission_(admission), cors_(cors), signing_rate_(signing_rate) {}

  // The caller that the credentials name. `to_read`: the request changes nothing; see cors_rules::may_use_cookies.
  // Fails as admitter::admit does.
  task<result<caller>> identify(const request& r, bool to_read = true) const;

  // The caller, who may have forms signed. Fails as identify does. Also errc::forbidden: no right to sign, or a page of
  // an origin that is not listed.
  task<result<caller>> admit_to_sign(const request& r) const;

  // Counts one form for this caller's user. errc::too_many_requests: limits.sign_rate is reached.
  result<void> count_form(const request& r, const caller& who) const;

private:
  const admitter& admission_;
  const cors_rules& cors_;
  rate_limiter& signing_rate_;
};

} // namespace postern::front
