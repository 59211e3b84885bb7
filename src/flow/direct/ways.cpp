#include <postern/base/log.hpp>
#include <postern/base/text.hpp>
#include <postern/core/multipart/open_multipart.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/flow/direct/ways.hpp>
#include <postern/flow/form_rules.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace postern {
namespace {

bool is_among(const std::vector<upload_way>& ways, upload_way way) {
  return std::find(ways.begin(), ways.end(), way) != ways.end();
}

// The allowed ways, the best first.
std::vector<upload_way> ordered_ways(const profile& rules, std::optional<std::uint64_t> size) {
  auto ways = rules.ways;
  if (size && *size >= rules.multipart_from)
    std::stable_partition(ways.begin(), ways.end(), [](upload_way w) { return w == upload_way::multipart; });
  return ways;
}

} // namespace

object_meta meta_for(const profile& rules, const upload& row, upload_way way) {
  std::vector<form_field> fields{{"Content-Type", row.content_type}};
  for (auto& field : fields_of(rules)) fields.push_back(std::move(field));
  for (const auto& [name, value] : row.metadata) fields.push_back({"x-amz-meta-" + name, value});
  auto meta = meta_of(fields, row.id);
  meta.user.emplace_back(way_metadata, name_of(way));
  return meta;
}

std::string url_of_parts(const std::string& public_url, const std::string& id) {
  return public_url + "/v1/uploads/" + id + "/parts";
}

std::string url_of_file(const std::string& public_url, const signer& own, const upload& row) {
  const auto until = std::chrono::floor<std::chrono::seconds>(row.created_at + max_multipart_age);
  return public_url + "/v1/files/" + own.sign_upload_token(row.id, until);
}

std::string authorization_of(const std::string& upload_token) { return "Upload " + upload_token; }

task<> way_planner::add(signed_form& form, const sign_request& ask) const {
  const auto found = options_.profiles.find(ask.profile);
  if (ask.ways.empty() || found == options_.profiles.end()) co_return;
  form.ways.emplace();
  for (const auto way : ordered_ways(found->second, ask.size)) {
    if (!is_among(ask.ways, way)) continue;
    auto offered = co_await offer(way, form, ask);
    if (offered) form.ways->push_back(std::move(*offered));
  }
}

task<std::optional<offered_way>> way_planner::offer(upload_way way, const signed_form& form,
                                                    const sign_request& ask) const {
  switch (way) {
  case upload_way::form:
    if (form.url == form.fallback_url) co_return std::nullopt; // this store or this size has the fallback only
    break;
  case upload_way::put: co_return co_await offer_put(form, ask);
  case upload_way::multipart: co_return offer_multipart(form);
  case upload_way::resumable: co_return offer_resumable(form);
  case upload_way::fallback: break;
  }
  offered_way plain;
  plain.way = way;
  co_return plain;
}

task<std::optional<offered_way>> way_planner::offer_put(const signed_form& form, const sign_request& ask) const {
  const auto& row = *form.row;
  const auto* known = options_.find_store(row.bucket);
  const auto can = known ? known->abilities() : store_abilities{};
  auto* signs = store_.for_bucket(row.bucket).as_presigner();
  if (!ask.size || *ask.size > max_post_size || !signs || !can.takes_presigned_put || !can.preflights_signed_headers)
    co_return std::nullopt; // without a signed size, any file could be sent

  const auto& rules = options_.profiles.at(row.profile);
  signed_body body{ask.size, meta_for(rules, row, upload_way::put), {}};
  // A store that does not know a checksum or a condition may refuse the whole request.
  const bool is_md5 = ask.checksum && iequals(ask.checksum->name, "content-md5");
  if (ask.checksum && (is_md5 || can.checks_checksums))
    body.headers.emplace_back(lower(ask.checksum->name), ask.checksum->value);
  if (!rules.overwrite && can.takes_if_none_match) body.headers.emplace_back("if-none-match", "*");
  auto signing = signs->presign_put({row.bucket, row.key}, std::move(body), rules.expires);
  auto made = co_await std::move(signing);
  if (!made) {
    log::warning("no presigned PUT can be offered", {{"upload", row.id}, {"why", describe(made.error())}});
    co_return std::nullopt;
  }
  offered_way put;
  put.way = upload_way::put;
  put.url = std::move(made->url);
  put.headers = std::move(made->headers);
  co_return put;
}

std::optional<offered_way> way_planner::offer_resumable(const signed_form& form) const {
  const auto& row = *form.row;
  auto* keeps = store_.for_bucket(row.bucket).as_resumable_store();
  if (!keeps || row.min_size > keeps->max_resumable_size()) return std::nullopt;
  offered_way resumable;
  resumable.way = upload_way::resumable;
  resumable.url = url_of_file(options_.public_url, own_, row);
  return resumable;
}

std::optional<offered_way> way_planner::offer_multipart(const signed_form& form) const {
  const auto& row = *form.row;
  const auto* known = options_.find_store(row.bucket);
  const bool has_size = row.min_size == row.max_size && row.max_size <= max_multipart_size;
  auto& objects = store_.for_bucket(row.bucket);
  if (!has_size || !known || !known->abilities().takes_presigned_parts || !objects.as_multipart_store() ||
      !objects.as_presigner())
    return std::nullopt;
  offered_way multipart;
  multipart.way = upload_way::multipart;
  multipart.part_size = plan_multipart(row.max_size).part_size;
  multipart.url = url_of_parts(options_.public_url, row.id);
  const auto until = std::chrono::floor<std::chrono::seconds>(row.expires_at);
  multipart.headers.emplace_back("Authorization", authorization_of(own_.sign_upload_token(row.id, until)));
  return multipart;
}

} // namespace postern
