#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/core/http/url.hpp>
#include <postern/core/object.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/flow/form_rules.hpp>

#include <algorithm>
#include <array>

namespace postern {
namespace {

constexpr std::string_view meta_prefix = "x-amz-meta-";
constexpr std::string_view complete_path = "/v1/complete/";

std::optional<claim> claim_in(std::string_view redirect, const signer& own, seconds_clock now) {
  const auto at = redirect.rfind(complete_path);
  if (at == redirect.npos) return std::nullopt;
  auto c = own.read_claim(redirect.substr(at + complete_path.size()), now);
  return c ? std::optional<claim>(std::move(*c)) : std::nullopt;
}

object_meta meta_of(const std::vector<form_field>& fields, const std::string& id) {
  static constexpr std::array<std::string_view, 11> stored_headers{"content-type",
                                                                   "cache-control",
                                                                   "content-disposition",
                                                                   "content-encoding",
                                                                   "expires",
                                                                   "acl",
                                                                   "tagging",
                                                                   "x-amz-storage-class",
                                                                   "x-amz-server-side-encryption",
                                                                   "x-amz-server-side-encryption-aws-kms-key-id",
                                                                   "x-amz-website-redirect-location"};
  object_meta meta;
  for (const auto& f : fields) {
    auto name = lower(f.name);
    if (name.starts_with(meta_prefix))
      meta.user.emplace_back(name.substr(meta_prefix.size()), f.value);
    else if (std::find(stored_headers.begin(), stored_headers.end(), name) != stored_headers.end())
      meta.headers.emplace_back(std::move(name), f.value);
  }
  const bool has_id =
      std::any_of(meta.user.begin(), meta.user.end(), [](const auto& m) { return m.first == "postern-id"; });
  if (!has_id) meta.user.emplace_back("postern-id", id);
  return meta;
}

std::string value_of(const std::vector<form_field>& fields, std::string_view name) {
  const auto* found = find_field(fields, name);
  return found ? *found : std::string{};
}

} // namespace

form_details details_of(const std::vector<form_field>& fields, const std::string& bucket, const signer& own,
                        millis_clock now) {
  form_details d;
  auto redirect = value_of(fields, "success_action_redirect");
  if (redirect.empty()) redirect = value_of(fields, "redirect"); // the deprecated name of success_action_redirect
  if (is_web_url(redirect)) d.redirect = std::move(redirect);
  const auto status = value_of(fields, "success_action_status");
  d.status = status == "200" ? 200 : status == "201" ? 201 : 204;

  d.claimed = claim_in(d.redirect, own, std::chrono::floor<std::chrono::seconds>(now));
  auto& row = d.plan.row;
  row.bucket = bucket;
  row.key = value_of(fields, "key");
  row.created_at = now;
  if (d.claimed) {
    row.id = d.claimed->id;
    row.profile = d.claimed->profile;
    row.user = d.claimed->user;
  } else {
    const auto named = value_of(fields, "x-amz-meta-postern-id");
    row.id = is_uuid(named) ? named : new_uuid_v7(now);
  }
  d.plan.meta = meta_of(fields, row.id);
  d.plan.who.user = row.user;
  d.plan.has_claim = d.claimed.has_value();
  d.plan.is_confirmed_later = !d.redirect.empty();
  return d;
}

result<void> check_fields(const std::vector<form_field>& fields) {
  constexpr std::size_t max_metadata = 2048, max_value = 64 << 10;
  std::size_t metadata = 0;
  for (const auto& f : fields) {
    if (f.value.size() > max_value)
      return failure{errc::fields_too_large,
                     "field " + quote(f.name) + " has more than " + std::to_string(max_value) + " bytes"};
    // No header of the object can have it, and no ledger can store it.
    if (f.value.find('\0') != f.value.npos)
      return failure{errc::invalid_argument, "field " + quote(f.name) + " has a zero byte"};
    if (lower(f.name).starts_with(meta_prefix)) metadata += f.name.size() - meta_prefix.size() + f.value.size();
  }
  const auto* redirect = find_field(fields, "x-amz-website-redirect-location");
  if (redirect && !redirect->starts_with('/') && !is_web_url(*redirect))
    return failure{errc::invalid_argument,
                   "field x-amz-website-redirect-location must be an http or https URL, or begin with a slash"};
  // Postern's own metadata does not count: an id of 36 bytes under a name of 10.
  if (metadata > max_metadata + 46) return failure{errc::invalid_argument, "metadata is larger than 2048 bytes"};
  return {};
}

bool is_served(const std::vector<std::string>& buckets, std::string_view bucket) {
  return std::any_of(buckets.begin(), buckets.end(),
                     [&](const auto& b) { return b == bucket || (b == "*" && is_bucket_name(bucket)); });
}

std::string with_result(std::string_view redirect, std::string_view bucket, std::string_view key,
                        std::string_view etag) {
  auto url = with_parameter(std::string(redirect), "bucket", bucket);
  url = with_parameter(std::move(url), "key", key);
  return with_parameter(std::move(url), "etag", quoted_etag(etag));
}

std::string failed_return(const claim& c, const failure& why) {
  if (c.return_to.empty()) return {};
  auto url = with_parameter(c.return_to, "id", c.id);
  url = with_parameter(std::move(url), "state", "failed");
  return with_parameter(std::move(url), "code", text_of(why.code).name);
}

} // namespace postern
