#include <postern/base/log.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/manage_request.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/front/endpoints/manage.hpp>

namespace postern::front {
namespace {

constexpr std::size_t max_body = 4096; // bytes: a reference, escaped

response answer(const request& r, const result<upload>& done) {
  if (!done) {
    log::info("management refused", {{"request", r.id},
                                     {"client", r.client_address},
                                     {"upload", r.path_parameter},
                                     {"why", describe(done.error())}});
    return make_problem(done.error(), r.id);
  }
  const bool is_being_moved = done->state == upload_state::checking;
  auto made = make_response(is_being_moved ? 202 : 200, "application/json", to_json(*done, true));
  made.with("Cache-Control", "no-store");
  return made;
}

} // namespace

task<response> manage_endpoint::claim(request& r) {
  const auto done = co_await claim_upload(r);
  co_return answer(r, done);
}

task<response> manage_endpoint::remove(request& r) {
  const auto done = co_await remove_upload(r);
  co_return answer(r, done);
}

task<response> manage_endpoint::accept(request& r) {
  const auto done = co_await settle(r, parse_accept_body);
  co_return answer(r, done);
}

task<response> manage_endpoint::reject(request& r) {
  const auto done = co_await settle(r, parse_reject_body);
  co_return answer(r, done);
}

task<result<void>> manage_endpoint::admit(const request& r) {
  auto who = co_await gate_.identify(r, false);
  if (!who) co_return who.error();
  if (!who->may(caller_right::manage))
    co_return failure{errc::forbidden, "this caller may not manage uploads; an API key needs the right \"manage\""};
  if (!is_uuid(r.path_parameter)) co_return failure{errc::not_found, "no such upload"};
  auto found = co_await ledger_.find(r.path_parameter);
  if (!found) co_return found.error();
  if (!who->may_manage(found->profile, found->user))
    co_return failure{errc::forbidden, "this caller may not manage uploads of user " + quote(found->user) +
                                           " in profile " + quote(found->profile)};
  co_return result<void>{};
}

task<result<std::string>> manage_endpoint::read_body(request& r) {
  auto admitted = co_await admit(r);
  if (!admitted) co_return admitted.error();
  auto body = co_await read_text(r, max_body);
  if (!body) co_return body.error();
  if (!body->empty() && !type_matches("application/json", r.field(http::field::content_type)))
    co_return failure{errc::unsupported_type, "the body must be application/json"};
  co_return body;
}

task<result<upload>> manage_endpoint::claim_upload(request& r) {
  auto body = co_await read_body(r);
  if (!body) co_return body.error();
  auto reference = parse_claim_body(*body);
  if (!reference) co_return reference.error();
  co_return co_await ledger_.claim_upload(r.path_parameter, std::move(*reference), now_millis());
}

task<result<upload>> manage_endpoint::settle(request& r, verdict_parser parse) {
  auto body = co_await read_body(r);
  if (!body) co_return body.error();
  auto said = parse(*body);
  if (!said) co_return said.error();
  co_return co_await acceptor_.settle(r.path_parameter, std::move(*said));
}

task<result<upload>> manage_endpoint::remove_upload(request& r) {
  auto admitted = co_await admit(r);
  if (!admitted) co_return admitted.error();
  co_return co_await remover_.remove(r.path_parameter, now_millis());
}

} // namespace postern::front
