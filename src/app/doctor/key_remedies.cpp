#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/setup.hpp>

#include <algorithm>

namespace postern::app {
namespace {

bool has(std::string_view text, std::string_view word) { return text.find(word) != text.npos; }

} // namespace

// --- keys -------------------------------------------------------------------------------------------

finding no_credentials(const config& c, const failure& why) {
  if (why.code != errc::not_found)
    return finding::wrong(why.on,
                          "The keys were looked for there because the configuration or the environment says so.");
  std::string places;
  std::string_view rest = why.on;
  if (const auto colon = rest.find(": "); colon != rest.npos && has(rest.substr(0, colon), "anywhere"))
    rest.remove_prefix(colon + 2);
  while (!rest.empty()) {
    const auto one = rest.substr(0, rest.find("; "));
    places.append("  - ").append(one).append("\n");
    rest.remove_prefix(std::min(rest.size(), one.size() + 2));
  }
  const std::string keys = "AWS_ACCESS_KEY_ID=AKIA… AWS_SECRET_ACCESS_KEY=… postern serve";
  return finding::wrong(
      "there are none. Looked for in this order:",
      places + "Give some in one of these ways:\n  " + keys +
          "\n  aws configure                     # writes ~/.aws/credentials\n"
          "or in the configuration, the secret from a file that only this user may read:\n"
          "  [store.credentials]\n  access_key = \"AKIA…\"\n  secret_key = { file = \"/etc/postern/s3-secret\" "
          "}\n" +
          (is_aws(c) ? "On EC2, ECS or EKS give the machine, task or service account a role instead: then "
                       "there is nothing to keep secret."
                     : "The store's own tool makes keys, such as radosgw-admin user create, or mc admin "
                       "user add."));
}

signature_fault blame(const aws_error& e, const sigv4::credentials& keys) {
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
  return ours == e.signature ? signature_fault::secret : signature_fault::changed;
}

namespace {

// What the store saw of a header that was signed.
std::string_view seen(std::string_view canonical_request, std::string_view header) {
  const auto begin = canonical_request.find("\n" + std::string(header) + ":");
  if (begin == canonical_request.npos) return {};
  const auto value = canonical_request.substr(begin + header.size() + 2);
  return value.substr(0, value.find('\n'));
}

std::string what_changed(const aws_error& e, const std::string& host) {
  const auto saw = seen(e.canonical_request, "host");
  if (!saw.empty() && saw != host)
    return "The header Host was changed on the way, from " + quote(host) + " to " + quote(saw) +
           ". A proxy in front of the store must pass it on as it is: in nginx\n  proxy_set_header Host $http_host;";
  const auto first = e.canonical_request.substr(0, e.canonical_request.find("\n\n"));
  return "Something between here and the store changes requests. The store was asked for " + quote(first, 300) +
         "; path, query and the signed headers must reach it as they were sent.";
}

std::string new_secret(const config& c, const sigv4::credentials& keys) {
  if (!keys.session_token.empty())
    return "The keys are temporary: access key, secret and session token belong together, all three from one answer.";
  std::string out = "Is the secret copied whole, without a blank or line end, and is it that of " +
                    quote(keys.access_key) + "? A secret is shown only once; when in doubt make a new pair:\n";
  return out + (is_aws(c) ? "  aws iam create-access-key --user-name NAME"
                          : "  radosgw-admin key create --uid NAME --key-type s3   # Ceph; or mc admin user add");
}

finding signature_refused(const config& c, const aws_error& e, const sigv4::credentials& keys,
                          const std::string& host) {
  const std::string cause = "the store says SignatureDoesNotMatch: ";
  if (has(e.message, "expired") || has(e.message, "not yet current"))
    return finding::wrong(cause + "its clock and this machine's differ (" + quote(e.message, 200) + ")",
                          set_the_clock());
  switch (blame(e, keys)) {
  case signature_fault::secret:
    return finding::wrong(
        cause + "the secret key is not the one of the access key " + quote(keys.access_key),
        "The store signed the very text that was signed here, and came to another signature. So it is not "
        "the clock, the region or a changed field: it is the secret.\n" +
            new_secret(c, keys));
  case signature_fault::changed:
    return finding::wrong(cause + "the request was changed on its way to the store", what_changed(e, host));
  case signature_fault::unknown: break;
  }
  return finding::wrong(cause + "most likely the secret key is not that of the access key " + quote(keys.access_key),
                        "Of what else can cause it, the clock has been compared already; it can also be the region (" +
                            quote(c.store.region) +
                            " in store.region), or a proxy before the store that changes Host (" + quote(host) +
                            ") or the path.\n" + new_secret(c, keys));
}

finding key_unknown(const config& c, const aws_error& e, const sigv4::credentials& keys) {
  return finding::wrong("the store does not know the access key " + quote(keys.access_key) + " (" + said(e) + ")",
                        "It was mistyped, deleted or switched off, or is one of another store or partition. " +
                            std::string(is_aws(c) ? "Those that there are:\n  aws iam list-access-keys --user-name NAME"
                                                  : "store.endpoint is " + quote(c.store.endpoint) + "."));
}

finding token_ended(const aws_error& e, const sigv4::credentials& keys) {
  return finding::wrong(
      "the keys are no longer good (" + said(e) + ")",
      keys.session_token.empty()
          ? "The store wants a session token with them: give AWS_SESSION_TOKEN or "
            "store.credentials.session_token."
          : "Temporary keys end. Get new ones, or let Postern get them by itself: with a role of the machine, "
            "or with store.credentials.role_arn.");
}

} // namespace

std::optional<finding> keys_refused(const config& c, const aws_error& e, const sigv4::credentials& keys,
                                    const std::string& host) {
  if (e.code == "SignatureDoesNotMatch") return signature_refused(c, e, keys, host);
  if (e.code == "InvalidAccessKeyId" || e.code == "InvalidClientTokenId") return key_unknown(c, e, keys);
  if (e.code == "RequestTimeTooSkewed" || e.code == "RequestExpired")
    return finding::wrong("the clock is off (" + said(e) + ")", set_the_clock());
  if (e.code.starts_with("ExpiredToken") || e.code == "InvalidToken" || e.code == "TokenRefreshRequired")
    return token_ended(e, keys);
  return std::nullopt;
}

// --- roles ------------------------------------------------------------------------------------------

std::string caller_in(std::string_view message) {
  constexpr std::string_view before = "User: ", behind = " is not authorized";
  const auto begin = message.find(before), end = message.find(behind);
  if (begin == message.npos || end == message.npos || end < begin + before.size()) return {};
  const auto arn = message.substr(begin + before.size(), end - begin - before.size());
  return arn.starts_with("arn:") ? std::string(arn) : std::string{};
}

namespace {

std::string callers_policy(const config& c, const std::string& who) {
  return "The caller's policy: " + who +
         " must be allowed to ask for the role. Add (IAM, Users or Roles, the caller, "
         "Add permissions, Create inline policy, JSON):\n" +
         verbatim(caller_policy(c));
}

std::string roles_trust(const config& c, const std::string& caller) {
  const auto role = role_name_of(c.store.role_arn);
  return "The role's trust policy: the role must let that caller take it on. Set (IAM, Roles, " + role +
         ", Trust relationships, Edit):\n" + verbatim(trust_policy(c, caller)) +
         (!caller.empty()                        ? ""
          : account_of(c.store.role_arn).empty() ? "with the caller's own ARN as Principal.\n"
                                                 : "Better than the whole account, name the caller as Principal:\n"
                                                   "  aws sts get-caller-identity\n");
}

std::string external_id(const config& c) {
  if (c.store.external_id.empty())
    return "The external id: the configuration has none. If the role's trust policy has a condition sts:ExternalId, "
           "whoever made the role knows it:\n  [store.credentials]\n  external_id = \"…\"";
  return "The external id: store.credentials.external_id is " + quote(c.store.external_id) +
         ". The condition sts:ExternalId in the role's trust policy must name the very same.";
}

// AWS, "Troubleshoot access denied error messages": the kind of policy stands behind "because no" or "with an explicit
// deny in". STS itself mostly leaves it out.
finding not_authorized(const config& c, const aws_error& e, const std::string& caller) {
  const std::string_view m = e.message;
  const auto who = caller.empty() ? std::string("the caller") : principal_of(caller);
  const auto cause = who + " is not authorized to perform: sts:AssumeRole on " + c.store.role_arn;
  const auto end = [&](const char* what) { return cause + "; " + what; };
  if (has(m, "explicit deny"))
    return finding::wrong(end("a policy denies it explicitly"),
                          "No Allow outweighs a Deny. STS says: " + quote(m, 600) + ". Look for it there.");
  for (const char* boundary : {"permissions boundary", "service control policy", "resource control policy",
                               "session policy", "VPC endpoint policy"})
    if (has(m, boundary))
      return finding::wrong(cause + "; a " + boundary + " stands against it",
                            "It must allow sts:AssumeRole too. STS says: " + quote(m, 600));
  if (has(m, "no identity-based policy allows"))
    return finding::wrong(end("the caller's policy is what is missing"), callers_policy(c, who));
  if (has(m, "trust policy allows") || has(m, "no resource-based policy allows"))
    return finding::wrong(end("the role's trust policy is what does not let it, or its external id"),
                          "1. " + roles_trust(c, caller) + "\n2. " + external_id(c));
  const auto from = account_of(caller), to = account_of(c.store.role_arn);
  const std::string accounts =
      from.empty() || to.empty() ? "One of these is missing, and the answer does not say which:"
      : from == to               ? "Caller and role are in one account (" + to +
                         "). One of these is missing, and the answer does "
                         "not say which; where the trust policy names the caller itself, the first is not needed:"
                   : "The caller is in the account " + from + ", the role in " + to +
                         ". Each must allow it; the answer does not say which one does not:";
  return finding::wrong(cause, accounts + "\n\n1. " + callers_policy(c, who) + "\n2. " + roles_trust(c, caller) +
                                   "\n3. " + external_id(c) +
                                   "\n\nThe answer is the same when there is no such role: is the ARN spelt right?");
}

} // namespace

finding role_refused(const config& c, const aws_error& e, const std::string& caller, const sigv4::credentials& keys,
                     const std::string& sts) {
  if (e.status == 0) return not_reached("store.credentials.sts_endpoint", sts, {e.category, e.message});
  if (auto by_keys = keys_refused(c, e, keys, sts)) return *by_keys;
  const auto& role = c.store.role_arn;
  if (e.status == 404 || e.code == "NoSuchEntity")
    return finding::wrong("there is no role " + role + " at " + sts + " (" + said(e) + ")",
                          "Is store.credentials.role_arn spelt right? aws iam list-roles shows those that there are.");
  if (has(e.message, "DurationSeconds") || has(e.message, "MaxSessionDuration"))
    return finding::wrong("the role does not last that long (" + said(e) + ")",
                          "Ask for less, an hour at most where the caller's keys are a role's themselves:\n"
                          "  [store.credentials]\n  duration = \"1h\"\n"
                          "or raise the role's maximum session duration.");
  if (e.code == "RegionDisabledException")
    return finding::wrong("STS is switched off in that region (" + said(e) + ")",
                          "IAM, Account settings, Security Token Service: switch it on, or name another "
                          "store.credentials.sts_endpoint.");
  if (e.code == "AccessDenied" || e.status == 403) return not_authorized(c, e, caller);
  return finding::wrong("STS refuses AssumeRole for " + role + " (" + said(e) + ")",
                        "It was asked at " + sts + ". Is that STS, and is store.credentials.role_arn right?");
}

} // namespace postern::app
