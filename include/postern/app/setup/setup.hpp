// The documents that a store needs before uploads work: what Postern may do (IAM policy), who may assume its role
// (trust policy), and which pages may post to the bucket (CORS); `lifecycle` has another one. Pure functions of the
// configuration, used by `postern setup` and by the doctor's remedies. Also set_up, the command itself, which runs on
// one thread.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/base/error.hpp>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

// The partition, which is the second field of every ARN in the region: aws, aws-cn, aws-us-gov, …
std::string partition_of(std::string_view region);
// The account, the fifth field of an ARN. Empty when the ARN has none, as in Ceph RGW.
std::string account_of(std::string_view arn);
// The caller as a trust policy names it. STS names the session of a role; the policy needs the role.
std::string principal_of(std::string_view arn);
// The role's name: the part of the ARN behind the last slash.
std::string role_name_of(std::string_view arn);

// The prefixes that the keys of the profile's objects have: that of its key, and with an accept hook also that under
// its quarantine.
std::vector<std::string> key_prefixes(const profile& p);

// The origin of server.public_url, then server.allowed_origins, each once.
std::vector<std::string> origins_of(const config& c);

// The JSON documents are indented and have no line break at the end.
//
// The permissions of the role, or of the caller where there is no role: only below the keys of the profiles.
std::string upload_policy(const config& c);
// The caller's permission to assume the role.
std::string caller_policy(const config& c);
// The role's trust policy for this caller. Without a caller it trusts the role's own account.
std::string trust_policy(const config& c, std::string_view caller_arn = {});

// The CORS rule that lets pages of origins_of post to the bucket and read ETag and Location: in the form of the AWS
// console, and in that of `aws s3api put-bucket-cors`.
std::string cors_for_console(const config& c);
std::string cors_for_cli(const config& c);

// A bucket's rules of one kind with Postern's among them.
struct rule_merge {
  std::string document;        // to be put
  std::size_t other_rules = 0; // rules that are not Postern's; they are unchanged
  bool had_rule = false;       // the bucket had a rule of Postern
  bool is_unchanged = false;   // and it is equal to the new one
};
// Adds or replaces Postern's rule, which is known by its ID. `existing` is the document of GetBucketCors; empty: there
// are no rules. errc::store_failed when it cannot be read, because the other rules would be lost.
result<rule_merge> merge_cors(const config& c, std::string_view existing);

enum class document { iam, trust, cors, lifecycle };
// `postern setup`: prints the document to standard output and what to do with it to standard error. With `apply` it
// puts the CORS or lifecycle rule into each bucket instead. For each store in S3, or for the one of this name
// ("default" is [store]; empty: all). Returns the exit code. Throws config_error when the configuration needs no such
// document.
int set_up(const config& c, document which, bool apply, const std::string& only_store = {});

} // namespace postern::app
