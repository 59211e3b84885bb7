// The documents that AWS wants before an upload works: who may write what (IAM), who may take the role on (trust), and
// which pages may post to the bucket (CORS). Pure functions of the configuration, for `postern setup` to print and for
// the doctor to prescribe; and the command itself.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/base/error.hpp>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

// aws, aws-cn, aws-us-gov, aws-iso or aws-iso-b: the second word of every ARN in that region.
std::string partition_of(std::string_view region);
// The fifth word of an ARN; empty where it has none, as Ceph RGW's have.
std::string account_of(std::string_view arn);
// How a trust policy names the caller: the session of a role, as STS names it, by its role.
std::string principal_of(std::string_view arn);
// The name behind the last slash.
std::string role_name_of(std::string_view arn);

// The buckets that profiles write to, the store's own among them.
std::set<std::string> buckets_of(const config& c);
// The page's origin that public_url gives, then server.allowed_origins, each once.
std::vector<std::string> origins_of(const config& c);

// The JSON documents are indented for people, without a line end behind them.
//
// What the one that writes to the store must be allowed: the role where there is one, else the caller. Only below the
// keys that the profiles name.
std::string upload_policy(const config& c);
// What the caller must be allowed to take the role on.
std::string caller_policy(const config& c);
// The role's trust policy for that caller; without one, for everyone whom the role's own account lets.
std::string trust_policy(const config& c, std::string_view caller_arn = {});

// The rule that lets pages of origins_of post to the bucket and read ETag and Location; as the console takes it, and as
// `aws s3api put-bucket-cors` does.
std::string cors_for_console(const config& c);
std::string cors_for_cli(const config& c);

struct cors_merge {
  std::string document;  // for PutBucketCors
  std::size_t kept = 0;  // rules of others
  bool replaced = false; // an older one of ours was there
  bool same = false;     // and is the same as the new one
};
// Our rule, known by its ID, put among those that the bucket has (GetBucketCors' document; empty: none). One that
// cannot be read is errc::store_failed: rules of others would get lost.
result<cors_merge> merge_cors(const config& c, std::string_view existing);

enum class document { iam, trust, cors };
// Prints the document to standard output, and what to do with it to standard error; with `apply` puts the CORS rule
// into each bucket. Answers the exit code. Throws config_error where the configuration has no use for it.
int set_up(const config& c, document which, bool apply);

} // namespace postern::app
