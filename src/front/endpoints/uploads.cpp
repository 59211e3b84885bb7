#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/uuid.hpp>
#include <postern/front/endpoints/upload_events.hpp>
#include <postern/front/endpoints/uploads.hpp>

#include <chrono>
#include <memory>

namespace postern::front {
namespace {

metrics::counter signed_count("postern_signed_total", "Forms signed", "");
metrics::histogram signing_seconds("postern_signing_seconds", "Time to sign a form", "");

} // namespace

task<response> uploads_endpoint::sign(request& r) {
  const auto begin = std::chrono::steady_clock::now();
  auto form = co_await sign_form(r);
  if (!form) {
    log::info("signing refused", {{"request", r.id}, {"client", r.client_address}, {"why", describe(form.error())}});
    co_return make_problem(form.error(), r.id);
  }
  signed_count.add();
  signing_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  if (log::enabled(log::level::debug))
    log::debug("signed", {{"request", r.id}, {"upload", form->id}, {"bucket", form->bucket}});
  auto made = make_response(201, "application/json", to_json(*form));
  made.with("Location", form->status_url).with("Cache-Control", "no-store");
  co_return made;
}

task<result<signed_form>> uploads_endpoint::sign_form(request& r) {
  auto who = co_await gate_.admit_to_sign(r);
  if (!who) co_return who.error();
  // A caller that signs for many users is counted for the user in the body, so after the body is read.
  const bool names_user = who->may(caller_right::user);
  if (!names_user)
    if (auto counted = gate_.count_form(r, *who); !counted) co_return counted.error();
  if (!type_matches("application/json", r.field(http::field::content_type)))
    co_return failure{errc::unsupported_type, "the body must be application/json"};
  auto text = co_await read_text(r, max_body_);
  if (!text) co_return text.error();
  auto ask = parse_sign_request(*text);
  if (!ask) co_return ask.error();
  if (!who->may_use(ask->profile))
    co_return failure{errc::forbidden, "this caller may not use profile " + quote(ask->profile)};
  if (ask->user && !names_user && *ask->user != who->user)
    co_return failure{errc::forbidden, "this caller may not sign for other users; an API key needs the right \"user\""};
  if (ask->user) who->user = *ask->user;
  if (names_user)
    if (auto counted = gate_.count_form(r, *who); !counted) co_return counted.error();
  ask->origin = std::string(r.field(http::field::origin));
  auto form = co_await form_issuer_.issue(*ask, *who, now_millis());
  if (form) co_await way_planner_.add(*form, *ask);
  co_return form;
}

task<response> uploads_endpoint::show(request& r) {
  response made;
  const auto admitted = co_await admit_to_ask(r);
  const caller* who = admitted && *admitted ? &**admitted : nullptr;
  if (!admitted)
    made = make_problem(admitted.error(), r.id);
  else if (!is_uuid(r.path_parameter))
    made = make_problem(failure{errc::not_found, "no such upload"}, r.id);
  else if (!accepts(r, "text/event-stream"))
    made = co_await show_once(r, who);
  else
    made = co_await stream(r, who);
  made.with("Cache-Control", "no-store");
  co_return made;
}

task<result<std::optional<caller>>> uploads_endpoint::admit_to_ask(const request& r) const {
  if (auto counted = gate_.count_question(r); !counted) co_return counted.error();
  auto who = co_await gate_.identify(r);
  if (!who) co_return std::optional<caller>();
  if (auto counted = gate_.count_question(*who); !counted) co_return counted.error();
  co_return std::optional<caller>(std::move(*who));
}

task<response> uploads_endpoint::show_once(request& r, const caller* who) {
  auto found = co_await ledger_.find(r.path_parameter);
  if (!found) co_return make_problem(found.error(), r.id);
  if (const auto received = transfers_.received(found->id)) found->received = received;
  const bool is_whole = who && who->may_see(found->profile, found->user);
  co_return make_response(200, "application/json", to_json(*found, is_whole));
}

task<response> uploads_endpoint::stream(request& r, const caller* who) {
  const auto& id = r.path_parameter;
  auto places = gate_.open_stream(r, who);
  if (!places) co_return make_problem(places.error(), r.id);
  // Subscribed before the row is read, so that no change is missed.
  auto changes = feed_.subscribe(id, co_await asio::this_coro::executor);
  if (!changes) co_return make_problem(changes.error(), r.id);
  auto found = co_await ledger_.find(id);
  if (!found) co_return make_problem(found.error(), r.id);
  response made;
  if (was_last_event(r.field("Last-Event-ID"))) {
    made.status = 204; // tells the browser not to reconnect
    co_return made;
  }
  const bool is_whole = who && who->may_see(found->profile, found->user);
  made = make_response(200, "text/event-stream", "retry: 2000\n\n");
  made.with("X-Accel-Buffering", "no"); // nginx must not hold events back
  const auto received = [this, id] { return transfers_.received(id); };
  auto events = std::make_shared<upload_event_stream>(std::move(*found), is_whole, std::move(*changes), received);
  const auto held = std::make_shared<signing_gate::stream_places>(std::move(*places));
  made.next_piece = [events, held] { return events->next(); };
  co_return made;
}

} // namespace postern::front
