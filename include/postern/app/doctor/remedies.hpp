// What is wrong, in plain words, and how to mend it: from a neighbour's answer and the configuration. Pure; the doctor
// says which check it was. Text from outside is quoted, and nothing secret stands in it.
#pragma once

#include <postern/app/config/config.hpp>
#include <postern/app/doctor/findings.hpp>
#include <postern/core/s3/sigv4.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/net/http_client.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace postern::app {

// --- reaching someone -------------------------------------------------------------------------------

// Nobody answers at `url`, which stands in (or comes from) `setting`.
finding not_reached(const std::string& setting, const std::string& url, const failure& why);
// How far the store's clock is ahead of ours, and whether forms and signatures live with that.
finding clock_finding(const config& c, std::chrono::seconds ahead);

// --- keys and roles ---------------------------------------------------------------------------------

finding no_credentials(const config& c, const failure& why);
// What the store or STS says against the keys themselves; nothing when it is something else. `host` was signed.
std::optional<finding> keys_refused(const config& c, const aws_error& e, const sigv4::credentials& keys,
                                    const std::string& host);
// STS does not give the role. `caller` is the ARN of who asked, empty where it is not known; `sts` where it was.
finding role_refused(const config& c, const aws_error& e, const std::string& caller, const sigv4::credentials& keys,
                     const std::string& sts);
// The ARN in "User: arn:… is not authorized to perform: …"; empty where there is none.
std::string caller_in(std::string_view message);

// --- the store --------------------------------------------------------------------------------------

enum class signature_fault { secret, changed, unknown };
// Did the store sign the same text as we did (then the secrets differ), or another one? As far as it says.
signature_fault blame(const aws_error& e, const sigv4::credentials& keys);

struct attempt {
  std::string bucket;
  std::string action; // s3:PutObject: the permission that it takes
  std::string host;   // that was asked, and signed
  const sigv4::credentials& keys;
};
// The store refuses a request of ours.
finding store_refused(const config& c, const aws_error& e, const attempt& a);
// The bucket is there, but elsewhere than the configuration says.
finding other_region(const config& c, const std::string& bucket, const std::string& region);

// What was posted as a form. `field` names are the form's.
struct posted_form {
  std::string url, bucket, policy;
};
// The store refuses a form that was signed with keys that it accepts in requests.
finding form_refused(const config& c, const aws_error& e, const posted_form& p);

// Pages of that origin may not post: "No 'Access-Control-Allow-Origin' header". With the document when it is asked for.
finding origin_refused(const config& c, const std::string& origin, const std::string& said, bool with_document,
                       const std::string& with_config);

// --- webhooks ---------------------------------------------------------------------------------------

// What the receiver at `url`, in the [[webhooks]] of that number (from 1), says to a test message.
finding webhook_answered(std::size_t number, const std::string& url, const http_response& answer);
finding webhook_unanswered(std::size_t number, const std::string& url, const failure& why);

// --- texts for all of them --------------------------------------------------------------------------

// A document or command as report prints it unwrapped.
std::string verbatim(std::string_view text);
std::string set_the_clock();
// The code and message of a refusal, quoted.
std::string said(const aws_error& e);
// Without an endpoint of one's own.
bool is_aws(const config& c);

} // namespace postern::app
