#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/core/http/url.hpp>
#include <postern/front/endpoints/complete.hpp>
#include <postern/front/endpoints/pages.hpp>

namespace postern::front {
namespace {

bool wants_json(const request& r) { return accepts(r, "application/json"); }

std::optional<std::string> parameter(const request& r, std::string_view name) {
  auto value = query_parameter(r.query, name);
  return value ? std::optional<std::string>(std::move(*value)) : std::nullopt;
}

response answer_refused(const failure& why, const request& r) {
  log::info("completion refused", {{"request", r.id}, {"why", describe(why)}});
  auto made = make_problem(why, r.id);
  if (wants_json(r)) return made;
  auto page = complete_page(made.status, "Upload not confirmed", text_for_client(why), made.body, "");
  for (auto& [name, value] : made.fields) page.with(name, std::move(value)); // such as Retry-After
  return page;
}

// The store could not be asked. The sweep will ask it.
response answer_pending(const redirect_outcome& done, const request& r) {
  json_writer w;
  w.begin_object();
  w.member("id", done.recorded.id);
  w.member("state", "pending");
  w.end_object();
  auto json = w.take();
  auto made = wants_json(r)
                  ? make_response(202, "application/json", std::move(json))
                  : complete_page(202, "Upload received", "It is being confirmed. Reload this page in a moment.", json,
                                  done.claimed.origin);
  made.with("Retry-After", retry_after(5));
  return made;
}

response answer_completed(const redirect_outcome& done, const request& r) {
  auto json = to_json(done.recorded, true);
  if (wants_json(r)) return make_response(200, "application/json", std::move(json));
  const auto& return_to = done.claimed.return_to;
  const bool is_checking = done.recorded.state == upload_state::checking;
  if (return_to.empty() && is_checking)
    return complete_page(200, "Upload received", "It is being checked.", json, done.claimed.origin);
  if (return_to.empty()) return complete_page(200, "Upload complete", done.recorded.key, json, done.claimed.origin);
  return make_redirect(
      with_parameter(with_parameter(return_to, "id", done.recorded.id), "state", name_of(done.recorded.state)));
}

} // namespace

task<response> complete_endpoint::confirm(request& r) {
  redirect_parameters redirected{parameter(r, "bucket"), parameter(r, "key"), parameter(r, "etag")};
  auto done =
      co_await completer_.complete_by_redirect(r.path_parameter, std::move(redirected), r.client_network, now_millis());
  response made;
  if (!done)
    made = answer_refused(done.error(), r);
  else
    made = done->is_pending ? answer_pending(*done, r) : answer_completed(*done, r);
  if (made.content_type != html_type) made.with("Cache-Control", "no-store"); // pages have this field already
  co_return made;
}

} // namespace postern::front
