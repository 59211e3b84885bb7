#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/front/endpoints/events.hpp>

namespace postern::front {

task<response> events_endpoint::receive(request& r) {
  auto counts = co_await read_and_record(r);
  if (!counts) {
    log::info("events refused", {{"request", r.id}, {"client", r.client_address}, {"why", describe(counts.error())}});
    auto made = make_problem(counts.error(), r.id);
    // SNS sends the user and password of its URL only after this challenge.
    if (made.status == 401) made.with("WWW-Authenticate", "Basic realm=\"events\"");
    co_return made;
  }
  json_writer w;
  w.begin_object();
  w.member("recorded", static_cast<std::uint64_t>(counts->recorded));
  if (counts->pending) w.member("pending", static_cast<std::uint64_t>(counts->pending));
  w.member("ignored", static_cast<std::uint64_t>(counts->ignored));
  if (counts->rejected) w.member("rejected", static_cast<std::uint64_t>(counts->rejected));
  w.end_object();
  co_return make_response(counts->pending ? 202 : 200, "application/json", w.take());
}

// SNS sends JSON as text/plain, so the content type is not checked.
task<result<event_counts>> events_endpoint::read_and_record(request& r) {
  if (!receiver_.is_open())
    co_return failure{errc::unauthorized, "neither events.token nor events.sns_topics is configured"};
  event_request message{r.field(http::field::authorization), r.field("X-Postern-Signature"), {}};
  if (auto allowed = receiver_.check_sender(message); !allowed) co_return allowed.error();
  auto text = co_await read_text(r, max_body_);
  if (!text) co_return text.error();
  message.body = *text;
  co_return co_await receiver_.receive(message, now_millis());
}

} // namespace postern::front
