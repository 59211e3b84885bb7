#include <postern/app/config/webhook_checks.hpp>
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/setup.hpp>

#include <algorithm>

namespace postern::app {
namespace {

bool has(std::string_view text, std::string_view word) { return text.find(word) != text.npos; }

std::string in_words(std::chrono::seconds s) {
  const auto n = s.count() < 0 ? -s.count() : s.count();
  if (n < 120) return std::to_string(n) + " s";
  if (n < 7200) return std::to_string(n / 60) + " min " + std::to_string(n % 60) + " s";
  return std::to_string(n / 3600) + " h " + std::to_string(n % 3600 / 60) + " min";
}

// Who it is that writes to the store, as an administrator would look for it.
std::string writer_of(const config& c, const sigv4::credentials& keys) {
  if (!c.store.role_arn.empty()) return "the role " + c.store.role_arn;
  return "the user of the access key " + quote(keys.access_key);
}

std::string where_to_add(const config& c) {
  if (!c.store.role_arn.empty())
    return "AWS console: IAM, Roles, " + role_name_of(c.store.role_arn) +
           ", Add permissions, Create inline policy, JSON. Or save it as policy.json and:\n"
           "  aws iam put-role-policy --role-name " +
           role_name_of(c.store.role_arn) + " \\\n    --policy-name postern --policy-document file://policy.json\n";
  return "AWS console: IAM, Users, the user, Add permissions, Create inline policy, JSON. Or save it as policy.json "
         "and:\n  aws iam put-user-policy --user-name NAME \\\n    --policy-name postern --policy-document "
         "file://policy.json\n";
}

} // namespace

// --- texts for all of them --------------------------------------------------------------------------

bool is_aws(const config& c) { return c.store.endpoint.empty(); }

std::string said(const aws_error& e) {
  auto out = e.code.empty() ? "status " + std::to_string(e.status) : quote(e.code);
  if (!e.message.empty()) out += ", " + quote(e.message, 400);
  return out;
}

std::string set_the_clock() {
  return "Set this machine's clock, and keep it set:\n"
         "  timedatectl set-ntp true       # or: apt install chrony\n"
         "  timedatectl                    # shows whether it is synchronized\n"
         "A container has its host's clock: set it there.";
}

std::string verbatim(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    out.append("  ").append(line).append("\n");
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return out;
}

// --- reaching someone -------------------------------------------------------------------------------

finding not_reached(const std::string& setting, const std::string& url, const failure& why) {
  auto reason = why.on; // which may begin with the same URL
  if (const auto at = reason.find(url + ": "); at != reason.npos) reason.erase(0, at + url.size() + 2);
  const auto cause = "nobody answers at " + url + ": " + reason;
  if (why.code == errc::timed_out || has(why.on, "the connection"))
    return finding::wrong(
        "nobody answers at " + url + " in time",
        "Does a firewall or a missing route stand between, or must a proxy be passed? Try:\n  curl -v " + url);
  const bool is_store = setting.starts_with("store."), is_webhook = setting.starts_with("webhooks");
  if (has(why.on, "cannot be resolved"))
    return finding::wrong(cause, "The name is not known to the DNS of this machine. Is " + setting + " spelt right?" +
                                     (is_store ? " A store of your own that has no name for each bucket wants:\n"
                                                 "  [store]\n  path_style = true"
                                               : ""));
  // OpenSSL's words for what a certificate lacks.
  const bool is_certificate = has(why.on, "certificate") || has(why.on, "mismatch");
  if (has(why.on, "TLS handshake") && is_certificate)
    return finding::wrong("the TLS certificate of " + url + " is not trusted here, or is for another name (" +
                              why.on.substr(why.on.rfind(": ") + 2) + ")",
                          (is_store || is_webhook
                               ? "When it was issued by an authority of your own, name that authority's certificate "
                                 "(PEM):\n  " +
                                     std::string(is_store ? "[store]" : "[[webhooks]]") +
                                     "\n  ca_file = \"/etc/ssl/certs/our-ca.pem\"\n"
                               : "Browsers would refuse it too, unless they were told of its authority.\n") +
                              std::string("Else the certificate must be for the very name in ") + setting +
                              ", with its chain, and not have expired.");
  if (has(why.on, "TLS handshake"))
    return finding::wrong(cause, "Does that port speak TLS? If not, " + setting + " must begin with http:// .");
  if (has(why.on, "refused"))
    return finding::wrong(cause,
                          "The machine is there and nothing listens on that port. Is the server running, and are host "
                          "and port in " +
                              setting + " right?");
  return finding::wrong(cause, "Look at " + setting + ", then try:\n  curl -v " + url);
}

finding clock_finding(const config& c, std::chrono::seconds ahead) {
  using namespace std::chrono_literals;
  auto shortest = std::chrono::seconds(24h * 7);
  for (const auto& [name, p] : c.profiles) shortest = std::min(shortest, p.expires);
  const auto off = std::chrono::abs(ahead);
  if (off <= 2s) return {verdict::right, "as the store's"};
  const auto text =
      "this machine's clock is " + in_words(off) + (ahead.count() > 0 ? " behind" : " ahead of") + " the store's";
  if (off > 15min)
    return finding::wrong(text + "; more than 15 min are refused as RequestTimeTooSkewed or SignatureDoesNotMatch",
                          set_the_clock());
  if (ahead >= shortest)
    return finding::wrong(text + "; a form of " + in_words(shortest) + " has expired before it is sent",
                          set_the_clock());
  if (off > 60s) return {verdict::warning, text, set_the_clock()};
  return {verdict::right, text};
}

// --- the store --------------------------------------------------------------------------------------

finding other_region(const config& c, const std::string& bucket, const std::string& region) {
  return finding::wrong(
      "the bucket " + quote(bucket) + " is in " + quote(region) + ", the configuration says " + quote(c.store.region),
      "Forms are signed for one region, and S3 refuses those of another. Set:\n  [store]\n  region = \"" + region +
          "\"");
}

finding store_refused(const config& c, const aws_error& e, const attempt& a) {
  if (e.status == 0) return not_reached("store.endpoint", a.host, {e.category, e.message});
  if (auto by_keys = keys_refused(c, e, a.keys, a.host)) return *by_keys;
  if (!e.region.empty() && e.region != c.store.region) return other_region(c, a.bucket, e.region);
  if (e.code == "NoSuchBucket" || (e.status == 404 && e.code.empty())) {
    const auto at = is_aws(c) ? "" : " --endpoint-url " + c.store.endpoint;
    return finding::wrong("there is no bucket " + quote(a.bucket) + (is_aws(c) ? " in S3" : " at " + c.store.endpoint),
                          "Make it, or name another one in store.bucket:\n  aws s3 mb s3://" + a.bucket + " --region " +
                              c.store.region + at);
  }
  if (e.code == "AccessDenied" || e.status == 403)
    return finding::wrong(
        writer_of(c, a.keys) + " may not do " + a.action + " in " + quote(a.bucket) + " (" + said(e) + ")",
        "It needs this policy (`postern setup iam` prints it too):\n" + verbatim(upload_policy(c)) +
            (is_aws(c) ? where_to_add(c) + "If it has that policy, look for a Deny: in the bucket's policy, "
                                           "or in one of the organization."
                       : "Or the bucket belongs to someone else there, whose bucket policy must allow it."));
  if (e.status == 301 || e.status == 307 || e.status == 400)
    return finding::wrong(
        "the store refuses the request (" + said(e) + ")",
        "Is the bucket in the region " + quote(c.store.region) + " (store.region), and does " + quote(a.host) +
            " belong to it? A store of your own nearly always wants:\n  [store]\n  path_style = true");
  return finding::wrong("the store refuses " + a.action + " (" + said(e) + ")",
                        e.status >= 500 ? "It has trouble of its own. Try again in a while."
                                        : "The code stands in the Amazon S3 API Reference, Error responses.");
}

// --- forms ------------------------------------------------------------------------------------------

namespace {

// ["eq", "$Content-Type", "image/png"]: the name; of "Extra input fields: x-amz-meta-a" too.
std::string field_in(std::string_view message) {
  constexpr std::string_view name_characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  for (const std::string_view before : {"$", "Extra input fields: ", "missing condition: "})
    if (const auto at = message.find(before); at != message.npos) {
      const auto rest = message.substr(at + before.size());
      return std::string(rest.substr(0, rest.find_first_not_of(name_characters)));
    }
  return {};
}

} // namespace

finding form_refused(const config& c, const aws_error& e, const posted_form& p) {
  if (e.status == 405 || e.status == 501)
    return finding::wrong("the store takes no forms (" + said(e) + ")",
                          "It has no POST Object. Browsers can only upload by the fallback, through Postern.");
  if (!e.region.empty() && e.region != c.store.region) return other_region(c, p.bucket, e.region);
  if (e.code == "SignatureDoesNotMatch") {
    const bool changed = !e.string_to_sign.empty() && e.string_to_sign != p.policy;
    if (changed)
      return finding::wrong("the store says SignatureDoesNotMatch: the form's field \"policy\" was changed on its way",
                            "What answers at " + p.url + " hands on another form than the one that was posted.");
    return finding::wrong("the store says SignatureDoesNotMatch of the form, though it takes the same keys in requests",
                          "So it is not the secret, and the clock has been compared: it is the region (" +
                              quote(c.store.region) + " in store.region), or what stands at " + p.url +
                              " changes a field.");
  }
  if (has(e.message, "expired"))
    return finding::wrong("the store says that the form has expired (" + said(e) + ")", set_the_clock());
  if (const auto field = field_in(e.message); !field.empty())
    return finding::wrong("the store says that the field " + quote(field) + " is not the one that was signed",
                          "Something at " + p.url + " changes, adds or drops it.");
  if (e.code == "AccessDenied" || e.status == 403)
    return finding::wrong(
        "the store refuses the form, though it takes a PUT with the same keys (" + said(e) + ")",
        "A form carries what its profile says (acl, tags, sse), which takes permissions of its own:\n" +
            verbatim(upload_policy(c)) +
            "An acl is refused too by a bucket with Object Ownership \"bucket owner enforced\": then set none "
            "in the profile.");
  return finding::wrong("the store refuses the form (" + said(e) + ")",
                        "The form was posted to " + p.url +
                            "; the code stands in the Amazon S3 API Reference, Error responses.");
}

finding origin_refused(const config& c, const std::string& origin, const std::string& got, bool with_document,
                       const std::string& with_config) {
  const auto cause = "pages of " + origin + " may not post to the store (" + got +
                     "): their browser says \"No 'Access-Control-Allow-Origin' header is present\"";
  if (!with_document) return finding::wrong(cause, "The same document mends it.");
  return finding::wrong(
      cause, "The bucket needs this CORS document. Put it with\n  postern setup cors --apply" + with_config +
                 "\nor by hand (AWS console: S3, the bucket, Permissions, CORS, Edit):\n" +
                 verbatim(cors_for_console(c)) + "Until then browsers upload by the fallback, through Postern.");
}

// --- webhooks ---------------------------------------------------------------------------------------

finding webhook_answered(std::size_t number, const std::string& url, const http_response& answer) {
  if (answer.status >= 200 && answer.status < 300) return finding::right(url + " takes a test message");
  auto cause = url + " answers " + std::to_string(answer.status);
  if (answer.status >= 300 && answer.status < 400)
    return finding::wrong(cause + ", to " + quote(answer.field("location"), 200),
                          "Redirects are not followed. Set " + setting_of_webhook(number, "url") +
                              " to the final URL.");
  if (!answer.body.empty()) cause += ": " + quote(answer.body, 120);
  if (answer.status == 410)
    return finding::wrong(cause, "A receiver that says so is sent nothing more, ever: let it answer 2xx, then bring "
                                 "back what was given up:\n  postern uploads webhooks --retry-all");
  if (answer.status == 404 || answer.status == 405)
    return finding::wrong(cause,
                          "Nobody takes a POST there. Is the path in " + setting_of_webhook(number, "url") + " right?");
  if (answer.status == 401 || answer.status == 403)
    return finding::wrong(cause, "The receiver must verify with the very same secret (what follows whsec_ is base64 of "
                                 "the key), over webhook-id, webhook-timestamp and the unchanged body, joined by dots; "
                                 "and be reached without a login.");
  return finding::wrong(cause, "The message was {\"type\": \"postern.test\"}. A receiver answers 2xx to each message "
                               "that it could verify, also to types that it has no use for; its own log should say "
                               "why it did not.");
}

finding webhook_unanswered(std::size_t number, const std::string& url, const failure& why) {
  if (why.code == errc::forbidden)
    return finding::wrong(why.on, "Webhooks go to public addresses only, so that nobody can aim them at what stands "
                                  "inside. Where the receiver does stand inside:\n  [[webhooks]]\n  allow_private = "
                                  "true");
  if (why.code == errc::timed_out && has(why.on, "no answer within"))
    return finding::wrong(url + ": " + why.on, "A receiver answers first and works afterwards: let it put the message "
                                               "into a queue of its own and answer 2xx at once.");
  return not_reached(setting_of_webhook(number, "url"), url, why);
}

} // namespace postern::app
