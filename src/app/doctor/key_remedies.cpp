#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/setup.hpp>

#include <algorithm>

namespace postern::app {
namespace {

bool contains(std::string_view text, std::string_view word) { return text.find(word) != text.npos; }

} // namespace

// --- keys -------------------------------------------------------------------------------------------

finding explain_missing_credentials(const config& c, const failure& why) {
  if (why.code != errc::not_found)
    return finding::failed(
        why.on, "The configuration or the environment names this place, so no other place is asked. Correct it there.");
  std::string places;
  std::string_view rest = why.on;
  if (const auto colon = rest.find(": "); colon != rest.npos && contains(rest.substr(0, colon), "anywhere"))
    rest.remove_prefix(colon + 2);
  while (!rest.empty()) {
    const auto place = rest.substr(0, rest.find("; "));
    places.append("  - ").append(place).append("\n");
    rest.remove_prefix(std::min(rest.size(), place.size() + 2));
  }
  const std::string keys = "AWS_ACCESS_KEY_ID=AKIA… AWS_SECRET_ACCESS_KEY=… postern serve";
  return finding::failed(
      "there are no credentials for S3",
      "Postern has looked in this order:\n" + places + "Give credentials in one of these ways:\n  " + keys +
          "\n  aws configure                     # writes ~/.aws/credentials\n"
          "or in the configuration, with the secret in a file that only this user may read:\n"
          "  " +
          c.store.header("credentials") +
          "\n  access_key = \"AKIA…\"\n  secret_key = { file = \"/etc/postern/s3-secret\" }\n" +
          (is_aws(c) ? "On EC2, ECS or EKS, give the machine, task or service account a role instead: then there is no "
                       "secret to keep."
                     : "The store's own tool creates keys: radosgw-admin user create, or mc admin user add."));
}

signature_fault find_signature_fault(const aws_error& e, const sigv4::credentials& keys) {
  // AWS4-HMAC-SHA256 / 20261123T181500Z / 20261123/eu-west-1/s3/aws4_request / hash
  const auto second = e.string_to_sign.find('\n');
  const auto third = second == std::string::npos ? second : e.string_to_sign.find('\n', second + 1);
  if (third == std::string::npos || e.signature.empty()) return signature_fault::unknown;
  const auto end = e.string_to_sign.find('\n', third + 1);
  const auto scope =
      sigv4::parse_credential(keys.access_key + "/" + e.string_to_sign.substr(third + 1, end - third - 1));
  if (!scope) return signature_fault::unknown;
  const auto ours = sigv4::signature(sigv4::signing_key(keys.secret_key, scope->day, scope->region, scope->service),
                                     e.string_to_sign);
  return ours == e.signature ? signature_fault::wrong_secret : signature_fault::changed_request;
}

namespace {

// The value of a signed header as the store received it.
std::string_view received_header(std::string_view canonical_request, std::string_view header) {
  const auto begin = canonical_request.find("\n" + std::string(header) + ":");
  if (begin == canonical_request.npos) return {};
  const auto value = canonical_request.substr(begin + header.size() + 2);
  return value.substr(0, value.find('\n'));
}

std::string explain_change(const aws_error& e, const std::string& host) {
  const auto received = received_header(e.canonical_request, "host");
  if (!received.empty() && received != host)
    return "The header Host was changed on the way, from " + quote(host) + " to " + quote(received) +
           ". A proxy before the store must pass it on unchanged; in nginx:\n  proxy_set_header Host $http_host;";
  const auto first = e.canonical_request.substr(0, e.canonical_request.find("\n\n"));
  return "Something between this machine and the store changes requests. The store received " + quote(first, 300) +
         ". A proxy must pass on path, query and signed headers unchanged.";
}

std::string secret_remedy(const config& c, const sigv4::credentials& keys) {
  if (!keys.session_token.empty())
    return "These keys are temporary. Access key, secret and session token must come from the same answer of STS.";
  std::string out = "Check that the secret is copied whole, without a blank or line break, and belongs to " +
                    quote(keys.access_key) + ". A secret is shown only once. When in doubt, create a new pair:\n";
  return out + (is_aws(c) ? "  aws iam create-access-key --user-name NAME"
                          : "  radosgw-admin key create --uid NAME --key-type s3   # Ceph; or mc admin user add");
}

finding explain_refused_signature(const config& c, const aws_error& e, const sigv4::credentials& keys,
                                  const std::string& host) {
  const std::string cause = host + " says SignatureDoesNotMatch: ";
  if (contains(e.message, "expired") || contains(e.message, "not yet current"))
    return finding::failed(cause + "its clock and this machine's differ (" + quote(e.message, 200) + ")",
                           clock_remedy());
  switch (find_signature_fault(e, keys)) {
  case signature_fault::wrong_secret:
    return finding::failed(
        cause + "the secret key does not belong to the access key " + quote(keys.access_key),
        "That server signed the same text and got another signature. So the clock, the region and the "
        "request are right, and the secret is wrong.\n" +
            secret_remedy(c, keys));
  case signature_fault::changed_request:
    return finding::failed(cause + "the request was changed on its way", explain_change(e, host));
  case signature_fault::unknown: break;
  }
  return finding::failed(cause + "most likely the secret key does not belong to the access key " +
                             quote(keys.access_key),
                         "Other causes: " + c.store.setting("region") + " (" + quote(c.store.region) +
                             ") is wrong, or a proxy before the store changes the header Host (" + quote(host) +
                             ") or the path. The clock was checked already.\n" + secret_remedy(c, keys));
}

finding explain_unknown_key(const config& c, const aws_error& e, const sigv4::credentials& keys,
                            const std::string& host) {
  return finding::failed(
      host + " does not know the access key " + quote(keys.access_key) + " (" + refusal_text(e) + ")",
      "It is misspelt, deleted or inactive, or belongs to another store or partition. " +
          std::string(is_aws(c) ? "This lists the keys that exist:\n  aws iam list-access-keys --user-name NAME"
                                : c.store.setting("endpoint") + " is " + quote(c.store.endpoint) + "."));
}

finding explain_expired_token(const config& c, const aws_error& e, const sigv4::credentials& keys) {
  return finding::failed("the keys are no longer valid (" + refusal_text(e) + ")",
                         keys.session_token.empty()
                             ? "The store requires a session token with these keys: set AWS_SESSION_TOKEN or " +
                                   c.store.setting("credentials.session_token") + "."
                             : "Temporary keys expire. Get new ones, or let Postern renew them: give the machine a "
                               "role, or set " +
                                   c.store.setting("credentials.role_arn") + ".");
}

} // namespace

std::optional<finding> explain_refused_keys(const config& c, const aws_error& e, const sigv4::credentials& keys,
                                            const std::string& host) {
  if (e.code == "SignatureDoesNotMatch") return explain_refused_signature(c, e, keys, host);
  if (e.code == "InvalidAccessKeyId" || e.code == "InvalidClientTokenId") return explain_unknown_key(c, e, keys, host);
  if (e.code == "RequestTimeTooSkewed" || e.code == "RequestExpired")
    return finding::failed(host + " rejects this machine's time (" + refusal_text(e) + ")", clock_remedy());
  if (e.code.starts_with("ExpiredToken") || e.code == "InvalidToken" || e.code == "TokenRefreshRequired")
    return explain_expired_token(c, e, keys);
  return std::nullopt;
}

// --- roles ------------------------------------------------------------------------------------------

std::string find_caller(std::string_view message) {
  constexpr std::string_view before = "User: ", behind = " is not authorized";
  const auto begin = message.find(before), end = message.find(behind);
  if (begin == message.npos || end == message.npos || end < begin + before.size()) return {};
  const auto arn = message.substr(begin + before.size(), end - begin - before.size());
  return arn.starts_with("arn:") ? std::string(arn) : std::string{};
}

namespace {

std::string callers_policy(const config& c, const std::string& who) {
  return "The caller's policy: it must allow " + who +
         " to assume the role. Add (IAM, Users or Roles, the caller, Add permissions, Create inline policy, JSON):\n" +
         verbatim(caller_policy(c));
}

std::string roles_trust(const config& c, const std::string& caller) {
  const auto role = role_name_of(c.store.role_arn);
  return "The role's trust policy: it must allow this caller to assume the role. Set (IAM, Roles, " + role +
         ", Trust relationships, Edit):\n" + verbatim(trust_policy(c, caller)) +
         (!caller.empty() ? ""
          : account_of(c.store.role_arn).empty()
              ? "with the caller's own ARN as the Principal.\n"
              : "It is safer to name the caller as the Principal instead of the whole account. This prints its ARN:\n"
                "  aws sts get-caller-identity\n");
}

std::string external_id(const config& c) {
  if (c.store.external_id.empty())
    return "The external id: " + c.store.setting("credentials.external_id") +
           " is empty. If the role's trust policy has a condition "
           "sts:ExternalId, ask the owner of the role for its value and set it:\n  " +
           c.store.header("credentials") + "\n  external_id = \"…\"";
  return "The external id: " + c.store.setting("credentials.external_id") + " is " + quote(c.store.external_id) +
         ". The condition sts:ExternalId in the role's trust policy must have the same value.";
}

// AWS, "Troubleshoot access denied error messages": "because no … policy allows" or "with an explicit deny in" names
// the kind of policy. STS mostly leaves it out.
finding explain_unauthorized(const config& c, const aws_error& e, const std::string& caller) {
  const std::string_view m = e.message;
  const auto who = caller.empty() ? std::string("the caller") : principal_of(caller);
  const auto cause = who + " is not authorized to perform: sts:AssumeRole on " + c.store.role_arn;
  const auto because = [&](const std::string& reason) { return cause + "; " + reason; };
  if (contains(m, "explicit deny"))
    return finding::failed(because("a policy denies it explicitly"),
                           "A Deny overrides every Allow, so the policy with the Deny must change. STS says: " +
                               quote(m, 600));
  for (const char* boundary : {"permissions boundary", "service control policy", "resource control policy",
                               "session policy", "VPC endpoint policy"})
    if (contains(m, boundary))
      return finding::failed(because(std::string("a ") + boundary + " does not allow it"),
                             "It must allow sts:AssumeRole as well. STS says: " + quote(m, 600));
  if (contains(m, "no identity-based policy allows"))
    return finding::failed(because("the caller's policy does not allow it"), callers_policy(c, who));
  if (contains(m, "trust policy allows") || contains(m, "no resource-based policy allows"))
    return finding::failed(because("the role's trust policy does not allow it, or its external id is another"),
                           "1. " + roles_trust(c, caller) + "\n2. " + external_id(c));
  const auto from = account_of(caller), to = account_of(c.store.role_arn);
  const std::string accounts = from.empty() || to.empty() ? "One of these is missing, and STS does not say which:"
                               : from == to
                                   ? "Caller and role are in one account (" + to +
                                         "). One of these is missing, and STS does not say which. If the trust policy "
                                         "names the caller itself, the first is not needed:"
                                   : "The caller is in the account " + from + ", the role in " + to +
                                         ". Both accounts must allow it, and STS does not say which one does not:";
  return finding::failed(cause, accounts + "\n\n1. " + callers_policy(c, who) + "\n2. " + roles_trust(c, caller) +
                                    "\n3. " + external_id(c) +
                                    "\n\nSTS answers the same when there is no such role: check " +
                                    c.store.setting("credentials.role_arn") + ".");
}

} // namespace

finding explain_refused_role(const config& c, const aws_error& e, const std::string& caller,
                             const sigv4::credentials& keys, const std::string& sts) {
  if (e.status == 0)
    return explain_unreachable(c.store.setting("credentials.sts_endpoint"), sts, {e.category, e.message});
  if (auto by_keys = explain_refused_keys(c, e, keys, sts)) return *by_keys;
  const auto& role = c.store.role_arn;
  if (e.status == 404 || e.code == "NoSuchEntity")
    return finding::failed("there is no role " + role + " at " + sts + " (" + refusal_text(e) + ")",
                           "Check the spelling of " + c.store.setting("credentials.role_arn") +
                               ". This lists the roles that exist:\n  aws iam list-roles");
  if (contains(e.message, "DurationSeconds") || contains(e.message, "MaxSessionDuration"))
    return finding::failed(c.store.setting("credentials.duration") + " is longer than the role allows (" +
                               refusal_text(e) + ")",
                           "Set a shorter one; at most an hour if the caller's keys come from a role themselves:\n"
                           "  " +
                               c.store.header("credentials") +
                               "\n  duration = \"1h\"\n"
                               "or raise the role's maximum session duration.");
  if (e.code == "RegionDisabledException")
    return finding::failed("STS is disabled in this region (" + refusal_text(e) + ")",
                           "Enable it (IAM, Account settings, Security Token Service), or name the endpoint of another "
                           "region in " +
                               c.store.setting("credentials.sts_endpoint") + ".");
  if (e.code == "AccessDenied" || e.status == 403) return explain_unauthorized(c, e, caller);
  return finding::failed("STS refuses AssumeRole for " + role + " (" + refusal_text(e) + ")",
                         "Check that " + sts + " is STS (" + c.store.setting("credentials.sts_endpoint") +
                             "), and check " + c.store.setting("credentials.role_arn") + ".");
}

} // namespace postern::app
