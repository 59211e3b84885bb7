#include <postern/base/log.hpp>
#include <postern/front/clients/ietf_uploads.hpp>
#include <postern/front/clients/new_file.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace postern::front {

using ietf_upload::version;

struct ietf_endpoint::conversation {
  version speaks = version::v8;
  bool is_versioned = false; // the client has named the version, so its answers do

  response begin(int status) const {
    response made;
    made.status = status;
    return with_version(std::move(made));
  }
  response with_version(response made) const {
    if (is_versioned && speaks != version::unknown)
      made.with("Upload-Draft-Interop-Version", std::string(ietf_upload::name_of(speaks)));
    made.with("Cache-Control", "no-store");
    return made;
  }
  response refuse(const request& r, const failure& why) const {
    log::info("resumable upload refused", {{"request", r.id}, {"client", r.client_address}, {"why", describe(why)}});
    auto made = make_problem(why, r.id);
    if (why.code == errc::entity_too_large) made.status = 413;
    return with_version(std::move(made));
  }
  static result<conversation> of(const request& r) {
    const auto named = ietf_upload::read_version(r.field("Upload-Draft-Interop-Version"));
    if (!named) return named.error();
    return conversation{named->value_or(version::v8), named->has_value()};
  }
};

namespace {

ietf_upload::fields fields_of(const request& r) {
  return {.upload_complete = r.field("Upload-Complete"),
          .upload_length = r.field("Upload-Length"),
          .upload_offset = r.field("Upload-Offset"),
          .content_disposition = r.field(http::field::content_disposition),
          .content_type = r.field(http::field::content_type)};
}

std::string limits_of(const resumable_view& v, version speaks) {
  ietf_upload::limits l;
  l.max_size = v.state.max_length;
  l.min_size = v.state.min_length;
  if (!v.state.is_complete)
    l.max_age =
        std::max(std::chrono::floor<std::chrono::seconds>(v.expires_at - now_millis()), std::chrono::seconds(0));
  return ietf_upload::limit_field(l, speaks);
}

void add_limits(response& made, const resumable_view& v, version speaks) {
  if (auto limits = limits_of(v, speaks); !limits.empty()) made.with("Upload-Limit", std::move(limits));
}

void add_state(response& made, const resumable_view& v) {
  made.with("Upload-Offset", std::to_string(v.state.offset))
      .with("Upload-Complete", std::string(ietf_upload::boolean(v.state.is_complete)));
}

// The draft's own words for a refusal; nothing: it has none.
std::optional<std::string> problem_of(const failure& why, const append_request& asked, const resumable_state& have,
                                      version speaks, std::string_view request_id) {
  if (why.code == errc::conflict && asked.offset != have.offset)
    return ietf_upload::mismatching_offset_problem(have.offset, asked.offset, request_id);
  if (why.code == errc::conflict && have.is_complete)
    return speaks == version::v6 || speaks == version::v5
               ? ietf_upload::completed_upload_problem(request_id)
               : ietf_upload::inconsistent_length_problem(describe(why), request_id);
  if (why.code == errc::bad_request) return ietf_upload::inconsistent_length_problem(describe(why), request_id);
  return std::nullopt;
}

} // namespace

task<result<std::string>> ietf_endpoint::admit(const request& r) const {
  if (auto counted = gate_.count_question(r); !counted) co_return counted.error();
  co_return uploads_.id_of(r.path_parameter);
}

task<response> ietf_endpoint::create(request& r) {
  const auto c = conversation::of(r);
  if (!c) co_return conversation{}.refuse(r, c.error());
  auto fields = fields_of(r);
  const auto announced = r.body.announced_size();
  auto asked = ietf_upload::read_creation(fields, announced);
  if (!asked) co_return c->refuse(r, asked.error());
  auto created = co_await create_file(gate_, uploads_, r, std::move(asked->ask));
  if (!created) co_return c->refuse(r, created.error());
  const auto location = uploads_.url_of(created->row);
  if (c->is_versioned && c->speaks != version::unknown && r.send_interim) {
    auto hint = c->begin(104);
    hint.with("Location", location);
    add_limits(hint, *created, c->speaks);
    auto sent = co_await r.send_interim(std::move(hint));
    if (!sent) co_return c->refuse(r, sent.error());
  }
  const bool has_something = asked->what.is_last || !announced || *announced > 0;
  auto made = c->begin(201);
  if (has_something)
    made = co_await answer_appended(r, *c, created->row.id, asked->what);
  else
    add_state(made, *created);
  if (made.status == 200 || made.status == 204) made.status = 201;
  add_limits(made, *created, c->speaks);
  made.with("Location", location).with("Postern-Id", created->row.id);
  co_return made;
}

task<response> ietf_endpoint::answer_appended(request& r, const conversation& c, std::string id, append_request what) {
  append_body body{r.body, r.share, {}};
  const auto out = co_await uploads_.append(std::move(id), what, std::move(body));
  response made;
  if (!out.how) {
    made = c.refuse(r, out.how.error());
    auto problem = out.now_at ? problem_of(out.how.error(), what, out.now_at->state, c.speaks, r.id) : std::nullopt;
    if (problem) made.body = std::move(*problem);
  } else if (out.now_at->state.is_complete) {
    made = c.with_version(make_response(200, "application/json", to_json(out.now_at->row, false)));
  } else {
    made = c.begin(ietf_upload::status_of_append(c.speaks));
  }
  if (out.now_at) add_state(made, *out.now_at);
  co_return made;
}

task<response> ietf_endpoint::head(request& r) {
  const auto c = conversation::of(r);
  if (!c) co_return conversation{}.refuse(r, c.error());
  const auto id = co_await admit(r);
  if (!id) co_return c->refuse(r, id.error());
  const auto found = co_await uploads_.find(*id);
  if (!found) co_return c->refuse(r, found.error());
  auto made = c->begin(204);
  add_state(made, *found);
  if (found->state.length) made.with("Upload-Length", std::to_string(*found->state.length));
  add_limits(made, *found, c->speaks);
  made.with("Postern-Id", *id);
  co_return made;
}

task<response> ietf_endpoint::patch(request& r) {
  const auto c = conversation::of(r);
  if (!c) co_return conversation{}.refuse(r, c.error());
  auto id = co_await admit(r);
  if (!id) co_return c->refuse(r, id.error());
  const auto asked = ietf_upload::read_append(fields_of(r), r.body.announced_size(), c->speaks);
  if (!asked) co_return c->refuse(r, asked.error());
  co_return co_await answer_appended(r, *c, std::move(*id), *asked);
}

task<response> ietf_endpoint::remove(request& r) {
  const auto c = conversation::of(r);
  if (!c) co_return conversation{}.refuse(r, c.error());
  auto id = co_await admit(r);
  if (!id) co_return c->refuse(r, id.error());
  const auto removed = co_await uploads_.remove(std::move(*id));
  co_return removed ? c->begin(204) : c->refuse(r, removed.error());
}

} // namespace postern::front
