#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/resumable/ietf_upload.hpp>
#include <postern/front/clients/new_file.hpp>
#include <postern/front/clients/tus.hpp>

#include <utility>

namespace postern::front {
namespace {

constexpr int checksum_mismatch = 460, precondition_failed = 412; // as the protocol has them

tus::fields fields_of(const request& r) {
  return {.upload_length = r.field("Upload-Length"),
          .upload_defer_length = r.field("Upload-Defer-Length"),
          .upload_metadata = r.field("Upload-Metadata"),
          .upload_concat = r.field("Upload-Concat"),
          .upload_offset = r.field("Upload-Offset"),
          .upload_checksum = r.field("Upload-Checksum"),
          .content_type = r.field(http::field::content_type)};
}

response with_version(response made) {
  made.with("Tus-Resumable", std::string(tus::version)).with("Cache-Control", "no-store");
  return made;
}

response refuse(const request& r, const failure& why) {
  log::info("resumable upload refused", {{"request", r.id}, {"client", r.client_address}, {"why", describe(why)}});
  auto made = make_problem(why, r.id);
  if (why.code == errc::bad_digest) made.status = checksum_mismatch;
  if (why.code == errc::entity_too_large) made.status = 413;
  return with_version(std::move(made));
}

// Of each request but OPTIONS. Nothing: the client speaks the version of this server.
std::optional<response> refuse_version(const request& r) {
  if (r.field("Tus-Resumable") == tus::version) return std::nullopt;
  auto made = refuse(r, failure{errc::bad_request, "this path speaks tus " + std::string(tus::version) +
                                                       "; send Tus-Resumable: " + std::string(tus::version)});
  made.status = precondition_failed;
  made.with("Tus-Version", std::string(tus::version));
  return made;
}

void add_expiry(response& made, const resumable_view& v) {
  if (!v.state.is_complete)
    made.with("Upload-Expires", http_date(std::chrono::floor<std::chrono::seconds>(v.expires_at)));
}

void add_length(response& made, const resumable_state& s) {
  if (s.length)
    made.with("Upload-Length", std::to_string(*s.length));
  else
    made.with("Upload-Defer-Length", "1");
}

// What the upload keeps of the creation's metadata.
std::string metadata_of(const upload& row) {
  std::string text;
  const auto add = [&text](std::string_view name, std::string_view value) {
    text.append(text.empty() ? "" : ",").append(name);
    if (!value.empty()) text.append(" ").append(to_base64(value));
  };
  if (!row.content_type.empty()) add("filetype", row.content_type);
  for (const auto& [name, value] : row.metadata) add(name, value);
  return text;
}

result<checksums> checksums_of(const std::optional<form_field>& announced) {
  if (!announced) return checksums{};
  return checksums::read({*announced});
}

} // namespace

task<response> tus_endpoint::create(request& r) {
  if (auto refused = refuse_version(r)) co_return std::move(*refused);
  auto fields = fields_of(r);
  if (r.body.announced_size() == std::uint64_t{0}) fields.content_type = {};
  auto asked = tus::read_creation(fields);
  if (!asked) co_return refuse(r, asked.error());
  auto ask = tus::sign_request_of(*asked);
  if (!ask) co_return refuse(r, ask.error());
  auto created = co_await create_file(gate_, uploads_, r, std::move(*ask));
  if (!created) co_return refuse(r, created.error());
  co_return co_await answer_created(r, *asked, std::move(*created));
}

task<response> tus_endpoint::answer_created(request& r, const tus::creation& asked, resumable_view created) {
  const auto id = created.row.id;
  auto location = uploads_.url_of(created.row);
  response made;
  made.status = 201;
  if (asked.has_body || created.state.length == std::uint64_t{0}) {
    tus::append first{{}, asked.checksum};
    first.what.announced = r.body.announced_size();
    made = co_await answer_appended(r, id, std::move(first));
    if (made.status == 204) made.status = 201;
  } else {
    add_expiry(made, created);
    made = with_version(std::move(made));
  }
  made.with("Location", std::move(location)).with("Postern-Id", id);
  co_return made;
}

task<response> tus_endpoint::answer_appended(request& r, std::string id, tus::append asked) {
  auto expected = checksums_of(asked.checksum);
  if (!expected) co_return refuse(r, expected.error());
  append_body body{r.body, r.share, std::move(*expected)};
  const auto out = co_await uploads_.append(std::move(id), asked.what, std::move(body));
  response made;
  made.status = 204;
  if (!out.how) made = refuse(r, out.how.error());
  if (out.now_at) {
    made.with("Upload-Offset", std::to_string(out.now_at->state.offset));
    add_expiry(made, *out.now_at);
  }
  if (out.how) made = with_version(std::move(made));
  co_return made;
}

task<response> tus_endpoint::head(request& r) {
  if (auto refused = refuse_version(r)) co_return std::move(*refused);
  if (auto counted = gate_.count_question(r); !counted) co_return refuse(r, counted.error());
  const auto id = uploads_.id_of(r.path_parameter);
  if (!id) co_return refuse(r, id.error());
  const auto found = co_await uploads_.find(*id);
  if (!found) co_return refuse(r, found.error());
  response made;
  made.with("Upload-Offset", std::to_string(found->state.offset)).with("Postern-Id", *id);
  add_length(made, found->state);
  if (auto metadata = metadata_of(found->row); !metadata.empty()) made.with("Upload-Metadata", std::move(metadata));
  add_expiry(made, *found);
  co_return with_version(std::move(made));
}

task<response> tus_endpoint::patch(request& r) {
  if (auto refused = refuse_version(r)) co_return std::move(*refused);
  if (auto counted = gate_.count_question(r); !counted) co_return refuse(r, counted.error());
  const auto id = uploads_.id_of(r.path_parameter);
  if (!id) co_return refuse(r, id.error());
  auto asked = tus::read_append(fields_of(r), r.body.announced_size());
  if (!asked) co_return refuse(r, asked.error());
  co_return co_await answer_appended(r, *id, std::move(*asked));
}

task<response> tus_endpoint::remove(request& r) {
  if (auto refused = refuse_version(r)) co_return std::move(*refused);
  if (auto counted = gate_.count_question(r); !counted) co_return refuse(r, counted.error());
  const auto id = uploads_.id_of(r.path_parameter);
  if (!id) co_return refuse(r, id.error());
  const auto removed = co_await uploads_.remove(*id);
  if (!removed) co_return refuse(r, removed.error());
  response made;
  made.status = 204;
  co_return with_version(std::move(made));
}

task<response> tus_endpoint::override_method(request& r) {
  const auto meant = r.field("X-HTTP-Method-Override");
  if (meant == "PATCH") co_return co_await patch(r);
  if (meant == "DELETE") co_return co_await remove(r);
  if (meant == "HEAD") co_return co_await head(r);
  co_return refuse(
      r, failure{errc::method_not_allowed, "POST to an upload needs X-HTTP-Method-Override: PATCH, DELETE or HEAD"});
}

task<response> tus_endpoint::options(request& r) {
  response made;
  made.status = 204;
  cors_rules::allow_requests(cors_readers::resumable_clients, "POST, GET, HEAD, PATCH, DELETE", made);
  made.with("Tus-Resumable", std::string(tus::version))
      .with("Tus-Version", std::string(tus::version))
      .with("Tus-Extension", std::string(tus::extensions))
      .with("Tus-Checksum-Algorithm", std::string(tus::checksum_algorithms));
  const auto named = query_parameter(r.query, "profile");
  const auto rules = profiles_.find(named ? *named : "default");
  if (rules == profiles_.end()) co_return made;
  made.with("Tus-Max-Size", std::to_string(rules->second.max_size));
  const ietf_upload::limits limits{rules->second.max_size, rules->second.min_size, std::nullopt};
  made.with("Upload-Limit", ietf_upload::limit_field(limits, ietf_upload::version::v8));
  co_return made;
}

} // namespace postern::front
