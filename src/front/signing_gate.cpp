#include <postern/base/metrics.hpp>
#include <postern/front/signing_gate.hpp>

#include <chrono>
#include <string>

namespace postern::front {
namespace {

metrics::counter forms_refused("postern_rate_limited_total", "Requests refused because of a rate", "limit=\"sign\"");
metrics::counter questions_refused("postern_rate_limited_total", "Requests refused because of a rate",
                                   "limit=\"status\"");
metrics::counter streams_refused("postern_rate_limited_total", "Requests refused because of a rate",
                                 "limit=\"event_stream\"");

// A name has no slash, so a user's never is a network.
std::string user_of(const caller& who) { return who.name + "/" + who.user; }

result<void> take(rate_limiter& from, const std::string& user, metrics::counter& refused) {
  auto taken = from.take(user, std::chrono::steady_clock::now());
  if (!taken) refused.add();
  return taken;
}

} // namespace

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
  return take(limits_.sign, who.is_anonymous() ? r.client_network : user_of(who), forms_refused);
}

result<void> signing_gate::count_question(const request& r) const {
  return take(limits_.status, r.client_network, questions_refused);
}

result<void> signing_gate::count_question(const caller& who) const {
  if (who.is_anonymous()) return {};
  return take(limits_.status, user_of(who), questions_refused);
}

result<signing_gate::stream_places> signing_gate::open_stream(const request& r, const caller* who) const {
  std::vector<std::string> users{r.client_network};
  if (who && !who->is_anonymous()) users.push_back(user_of(*who));
  stream_places places;
  for (const auto& user : users) {
    if (auto taken = take(limits_.stream, user, streams_refused); !taken) return taken.error();
    auto place = limits_.streams.enter(user);
    if (!place) {
      streams_refused.add();
      return failure{errc::too_many_requests, "limits.event_streams is reached"};
    }
    places.push_back(std::move(*place));
  }
  return places;
}

} // namespace postern::front
