#include <postern/front/signing_gate.hpp>

#include <chrono>

namespace postern::front {

task<result<caller>> signing_gate::identify(const request& r, bool to_read) const {
  const auto count = r.fields.count(http::field::authorization);
  if (count > 1) co_return failure{errc::bad_request, "the request has more than one Authorization field"};
  request_credentials shown{r.field(http::field::authorization), count > 0};
  // A browser sends one Cookie field (RFC 6265 §5.4).
  const auto cookies = r.fields.count(http::field::cookie);
  if (cookies == 1 && cors_.may_use_cookies(r, to_read))
    shown.cookie = r.field(http::field::cookie);
  else
    shown.is_cookie_ignored = cookies > 0;
  shown.path = r.path;
  shown.query = r.query;
  shown.method = http::to_string(r.method);
  shown.client_address = r.client_address;
  shown.client_network = r.client_network;
  co_return co_await admission_.admit(shown);
}

task<result<caller>> signing_gate::admit_to_sign(const request& r) const {
  auto who = co_await identify(r, false);
  if (!who) co_return who;
  if (!who->may(caller_right::sign)) co_return failure{errc::forbidden, "this caller may not sign"};
  if (auto allowed = cors_.check(r); !allowed) co_return allowed.error();
  co_return who;
}

result<void> signing_gate::count_form(const request& r, const caller& who) const {
  // Anonymous callers share a rate by address. A name has no slash.
  const auto user = who.is_anonymous() ? r.client_network : who.name + "/" + who.user;
  return signing_rate_.take(user, std::chrono::steady_clock::now());
}

} // namespace postern::front
