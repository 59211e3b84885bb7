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
constexpr std::string_view checksum_prefix = "x-amz-checksum-";
constexpr std::string_view complete_path = "/v1/complete/";

std::optional<claim> claim_in(std::string_view redirect, const signer& own, seconds_clock now) {
  const auto at = redirect.rfind(complete_path);
  if (at == redirect.npos) return std::nullopt;
  auto c = own.read_claim(redirect.substr(at + complete_path.size()), now);
  return c ? std::optional<claim>(std::move(*c)) : std::nullopt;
}

// The fields that become headers of the object, as in PutObject.
constexpr std::array stored_fields = std::to_array<std::string_view>(
    {"content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires", "acl",
     "tagging", "x-amz-storage-class", "x-amz-website-redirect-location",
     // grants
     "x-amz-grant-full-control", "x-amz-grant-read", "x-amz-grant-read-acp", "x-amz-grant-write-acp",
     // encryption
     "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id",
     "x-amz-server-side-encryption-bucket-key-enabled", "x-amz-server-side-encryption-context",
     // Object Lock
     "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold"});

constexpr std::array signature_and_checksum_fields = std::to_array<std::string_view>(
    {"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-security-token", "x-amz-signature",
     "x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-type"});

template <class List> bool is_among(const List& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Refuses a field that asks S3 for something and would be dropped. Fields without the prefix are the page's own.
result<void> check_name(const std::string& field) {
  const auto name = lower(field);
  if (name.starts_with("x-amz-server-side-encryption-customer-"))
    return failure{errc::invalid_argument, "field " + quote(field) +
                                               ": encryption with the client's own key (SSE-C) is not possible here, "
                                               "because the object could not be confirmed without the key"};
  if (!name.starts_with("x-amz-") || name.starts_with(meta_prefix) || name.starts_with(checksum_prefix) ||
      is_among(stored_fields, name) || is_among(signature_and_checksum_fields, name))
    return {};
  return failure{errc::invalid_argument, "field " + quote(field) + " is not known; an upload must not lose it"};
}

std::string value_of(const std::vector<form_field>& fields, std::string_view name) {
  const auto* found = find_field(fields, name);
  return found ? *found : std::string{};
}

} // namespace

object_meta meta_of(const std::vector<form_field>& fields, const std::string& id) {
  object_meta meta;
  for (const auto& f : fields) {
    auto name = lower(f.name);
    if (name.starts_with(meta_prefix))
      meta.user.emplace_back(name.substr(meta_prefix.size()), f.value);
    else if (is_among(stored_fields, name))
      meta.headers.emplace_back(std::move(name), f.value);
  }
  const bool has_id =
      std::any_of(meta.user.begin(), meta.user.end(), [](const auto& m) { return m.first == "postern-id"; });
  if (!has_id) meta.user.emplace_back("postern-id", id);
  return meta;
}

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
  row.content_type = value_of(fields, "content-type");
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
  d.plan.is_confirmed_later = !d.redirect.empty();
  return d;
}

result<void> check_fields(const std::vector<form_field>& fields) {
  constexpr std::size_t max_metadata = 2048, max_value = 64 << 10;
  std::size_t metadata = 0;
  for (const auto& f : fields) {
    if (auto known = check_name(f.name); !known) return known;
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
