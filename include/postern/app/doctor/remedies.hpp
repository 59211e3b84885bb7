// The doctor's explanations: from a service's answer and the configuration to a finding that says what is wrong and
// what to do. Pure. Text from outside is quoted, and findings contain no secret.
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

// --- connections and clocks (remedies.cpp) -----------------------------------------------------------

// There was no answer from `url`, which comes from the setting `setting`.
finding explain_unreachable(const std::string& setting, const std::string& url, const failure& why);
// `ahead`: by how much the store's clock is ahead of ours. Fails when signatures or forms would be rejected for it.
finding judge_clock(const config& c, std::chrono::seconds ahead);

// --- credentials and roles (key_remedies.cpp) --------------------------------------------------------

finding explain_missing_credentials(const config& c, const failure& why);
// Explains an error of the store or STS that concerns the credentials themselves. std::nullopt: it concerns something
// else. `host` is the host that was signed.
std::optional<finding> explain_refused_keys(const config& c, const aws_error& e, const sigv4::credentials& keys,
                                            const std::string& host);
// STS refused to assume the role. `caller` is the ARN of the credentials' owner, empty when unknown; `sts` the host of
// STS.
finding explain_refused_role(const config& c, const aws_error& e, const std::string& caller,
                             const sigv4::credentials& keys, const std::string& sts);
// The ARN in "User: arn:… is not authorized to perform: …". Empty: there is none.
std::string find_caller(std::string_view message);

enum class signature_fault { wrong_secret, changed_request, unknown };
// The cause of SignatureDoesNotMatch. If the store signed the text that we signed, the secrets differ; if it signed
// another text, the request was changed on its way. unknown: the store does not say what it signed.
signature_fault find_signature_fault(const aws_error& e, const sigv4::credentials& keys);

// --- the store (remedies.cpp) ------------------------------------------------------------------------

// A request to the store, for explaining its error.
struct attempt {
  std::string bucket;
  std::string action; // the permission that it needs: "s3:PutObject"
  std::string host;   // that was asked and signed
  const sigv4::credentials& keys;
};
finding explain_refused_request(const config& c, const aws_error& e, const attempt& a);
// The bucket exists, in another region than store.region.
finding explain_other_region(const config& c, const std::string& bucket, const std::string& region);

// A form that was posted. `policy` is its base64, as the form has it.
struct posted_form {
  std::string url, bucket, policy;
};
// The store refused a form, although it accepts requests that are signed with the same credentials.
finding explain_refused_form(const config& c, const aws_error& e, const posted_form& p);

// The bucket's CORS rules do not let pages of `origin` post. `answer` says what the preflight answered. The finding
// contains the CORS document if `with_document`.
finding explain_refused_origin(const config& c, const std::string& origin, const std::string& answer,
                               bool with_document, const std::string& setup_options);

// The same where buckets have no CORS documents.
finding explain_refused_by_store(const std::string& origin, const std::string& method, const std::string& answer);

// The answer to a form of more than 1 MiB that was posted to `url`, below server.public_url. A proxy there may refuse
// it or cut it, although Postern accepts it.
finding judge_large_form(const std::string& url, const result<http_response>& answer);

// --- webhooks (remedies.cpp) -------------------------------------------------------------------------

// The answer to a test message of the receiver at `url`. `number` counts the [[webhooks]] from 1.
finding judge_webhook_answer(std::size_t number, const std::string& url, const http_response& answer);
finding explain_unanswered_webhook(std::size_t number, const std::string& url, const failure& why);

// --- texts -------------------------------------------------------------------------------------------

// A document or command as lines that the report does not wrap.
std::string verbatim(std::string_view text);
std::string clock_remedy();
// The code and message of an error, quoted.
std::string refusal_text(const aws_error& e);
// The store is AWS itself: store.endpoint is empty.
bool is_aws(const config& c);

} // namespace postern::app
