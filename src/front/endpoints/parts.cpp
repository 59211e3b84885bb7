#include <postern/base/digest.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/multipart/parts_request.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/front/endpoints/parts.hpp>

#include <chrono>
#include <utility>

namespace postern::front {
namespace {

constexpr std::size_t max_batch = 16 << 10, max_list = 1 << 20; // bytes of a body: 100 checksums; 10 000 ETags
constexpr std::string_view scheme = "Upload ";

response answer(const request& r, int status, result<std::string> body) {
  response made;
  if (body)
    made = make_response(status, "application/json", std::move(*body));
  else {
    log::info("parts refused", {{"request", r.id},
                                {"client", r.client_address},
                                {"upload", r.path_parameter},
                                {"why", describe(body.error())}});
    made = make_problem(body.error(), r.id);
  }
  made.with("Cache-Control", "no-store");
  return made;
}

std::string to_json(const signed_parts& made) {
  json_writer w;
  w.reserve(1024 * made.parts.size());
  w.begin_object();
  w.key("parts");
  w.begin_array();
  for (const auto& part : made.parts) {
    w.begin_object();
    w.member("number", static_cast<std::uint64_t>(part.number));
    w.member("url", part.at.url);
    w.key("headers");
    w.begin_object();
    for (const auto& [name, value] : part.at.headers) w.member(name, value);
    w.end_object();
    w.member("expires_at", iso8601(part.at.expires_at));
    w.end_object();
  }
  w.end_array();
  if (made.needs_checksums) w.key("needs_checksums"), w.boolean(true);
  w.member("token", made.token);
  w.end_object();
  return w.take();
}

std::string to_json(const listed_parts& all) {
  json_writer w;
  w.begin_object();
  w.member("size", all.plan.size);
  w.member("part_size", all.plan.part_size);
  w.key("parts");
  w.begin_array();
  for (const auto& part : all.parts) {
    w.begin_object();
    w.member("number", static_cast<std::uint64_t>(part.number));
    w.member("size", part.size);
    w.member("etag", part.etag);
    if (part.crc32c) w.member("checksum_crc32c", crc32c_base64(*part.crc32c));
    w.end_object();
  }
  w.end_array();
  if (all.needs_checksums) w.key("needs_checksums"), w.boolean(true);
  w.member("token", all.token);
  w.end_object();
  return w.take();
}

} // namespace

task<result<void>> parts_endpoint::admit(const request& r) const {
  if (auto counted = gate_.count_question(r); !counted) co_return counted.error();
  if (!is_uuid(r.path_parameter)) co_return failure{errc::not_found, "no such upload"};
  const auto authorization = r.field(http::field::authorization);
  if (!iequals(authorization.substr(0, scheme.size()), scheme)) co_return co_await admit_manager(r);
  if (r.fields.count(http::field::authorization) > 1)
    co_return failure{errc::bad_request, "the request has more than one Authorization field"};
  const auto now = std::chrono::floor<std::chrono::seconds>(now_millis());
  const auto id = own_.read_upload_token(authorization.substr(scheme.size()), now);
  if (!id) co_return id.error();
  if (*id != r.path_parameter) co_return failure{errc::forbidden, "the upload token is for another upload"};
  co_return result<void>{};
}

task<result<void>> parts_endpoint::admit_manager(const request& r) const {
  auto who = co_await gate_.identify(r, false);
  if (!who) co_return who.error();
  if (!who->may(caller_right::manage))
    co_return failure{errc::unauthorized, "the parts of an upload need its token, as Authorization: Upload TOKEN, or a "
                                          "caller with the right \"manage\""};
  auto found = co_await ledger_.find(r.path_parameter);
  if (!found) co_return found.error();
  if (!who->may_manage(found->profile, found->user))
    co_return failure{errc::forbidden, "this caller may not manage uploads of user " + quote(found->user) +
                                           " in profile " + quote(found->profile)};
  co_return result<void>{};
}

task<result<std::string>> parts_endpoint::read_body(request& r, std::size_t max) const {
  auto admitted = co_await admit(r);
  if (!admitted) co_return admitted.error();
  auto body = co_await read_text(r, max);
  if (!body) co_return body.error();
  if (!body->empty() && !type_matches("application/json", r.field(http::field::content_type)))
    co_return failure{errc::unsupported_type, "the body must be application/json"};
  co_return body;
}

task<result<std::string>> parts_endpoint::sign_parts(request& r) {
  auto body = co_await read_body(r, max_batch);
  if (!body) co_return body.error();
  auto asked = parse_parts_body(*body);
  if (!asked) co_return asked.error();
  auto made = co_await multiparts_.sign(r.path_parameter, std::move(*asked), now_millis());
  if (!made) co_return made.error();
  co_return to_json(*made);
}

task<result<std::string>> parts_endpoint::list_parts(request& r) {
  auto admitted = co_await admit(r);
  if (!admitted) co_return admitted.error();
  const auto all = co_await multiparts_.list(r.path_parameter, now_millis());
  if (!all) co_return all.error();
  co_return to_json(*all);
}

task<result<upload>> parts_endpoint::complete_upload(request& r) {
  auto body = co_await read_body(r, max_list);
  if (!body) co_return body.error();
  auto etags = parse_complete_body(*body);
  if (!etags) co_return etags.error();
  co_return co_await multiparts_.complete(r.path_parameter, std::move(*etags), now_millis());
}

task<result<upload>> parts_endpoint::abort_upload(request& r) {
  auto admitted = co_await admit(r);
  if (!admitted) co_return admitted.error();
  co_return co_await multiparts_.abort(r.path_parameter, now_millis());
}

task<response> parts_endpoint::sign(request& r) {
  auto made = co_await sign_parts(r);
  co_return answer(r, 200, std::move(made));
}

task<response> parts_endpoint::list(request& r) {
  auto all = co_await list_parts(r);
  co_return answer(r, 200, std::move(all));
}

task<response> parts_endpoint::complete(request& r) {
  auto done = co_await complete_upload(r);
  if (!done) co_return answer(r, 0, done.error());
  co_return answer(r, done->state == upload_state::checking ? 202 : 200, postern::to_json(*done, false));
}

task<response> parts_endpoint::abort(request& r) {
  auto done = co_await abort_upload(r);
  if (!done) co_return answer(r, 0, done.error());
  co_return answer(r, 200, postern::to_json(*done, false));
}

} // namespace postern::front
