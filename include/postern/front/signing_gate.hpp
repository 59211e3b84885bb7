// Who sent a request, and may this caller have a form signed now? What the endpoints that sign share: credentials, the
// page's origin, the caller's rate. Owned by the node, shared by all threads.
#pragma once

#include <postern/core/caller.hpp>
#include <postern/flow/admit.hpp>
#include <postern/flow/rate_limiter.hpp>
#include <postern/front/endpoints/origins.hpp>
#include <postern/front/http_message.hpp>

namespace postern::front {

class callers {
public:
  // The arguments must outlive this.
  callers(const admitter& admission, const origins& allowed, rate_limiter& signing_rate)
      : admission_(admission), origins_(allowed), signing_rate_(signing_rate) {}

  // By the credentials alone. Fails as admitter::admit does.
  task<result<caller>> identify(const request& r) const;

  // The caller, who may have one form signed now. Also errc::forbidden: no right to sign, or a page of an origin that
  // is not listed. errc::too_many_requests: limits.sign_rate is reached.
  task<result<caller>> admit_to_sign(const request& r) const;

private:
  const admitter& admission_;
  const origins& origins_;
  rate_limiter& signing_rate_;
};

} // namespace postern::front
