#include <postern/base/dates.hpp>
#include <postern/base/digest.hpp>
#include <postern/core/s3/form_signature.hpp>

#include <string>

namespace postern {

result<void> verify_form_signature(const std::vector<form_field>& fields, std::string_view policy,
                                   const sigv4::credentials& known, std::string_view region) {
  const auto* signature = find_field(fields, "x-amz-signature");
  const auto* credential = find_field(fields, "x-amz-credential");
  const auto* date = find_field(fields, "x-amz-date");
  if (!signature) return failure{errc::missing_signature, "field x-amz-signature is missing"};
  if (!credential) return failure{errc::missing_signature, "field x-amz-credential is missing"};
  if (!date) return failure{errc::missing_signature, "field x-amz-date is missing"};
  const auto* algorithm = find_field(fields, "x-amz-algorithm");
  if (!algorithm || *algorithm != "AWS4-HMAC-SHA256")
    return failure{errc::invalid_argument, "field x-amz-algorithm must be AWS4-HMAC-SHA256"};
  if (auto when = parse_amz_date(*date); !when)
    return failure{errc::invalid_argument, "field x-amz-date must be like 20261123T181500Z"};
  auto scope = sigv4::parse_credential(*credential);
  if (!scope) return scope.error();
  if (scope->access_key != known.access_key)
    return failure{errc::unknown_access_key, "the access key in x-amz-credential is not Postern's"};
  if (scope->service != "s3") return failure{errc::invalid_argument, "the credential's service must be s3"};
  if (scope->region != region)
    return failure{errc::invalid_argument, "the credential's region is not " + std::string(region)};
  if (!date->starts_with(scope->day))
    return failure{errc::invalid_argument, "x-amz-date is not of the credential's day"};
  const auto key = sigv4::signing_key(known.secret_key, scope->day, scope->region, scope->service);
  if (!equal_constant_time(sigv4::policy_signature(key, policy), *signature))
    return failure{errc::signature_mismatch, "field x-amz-signature"};
  return {};
}

} // namespace postern
