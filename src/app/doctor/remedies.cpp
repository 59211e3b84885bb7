#include <postern/app/config/webhook_checks.hpp>
#include <postern/app/doctor/remedies.hpp>
#include <postern/app/setup/setup.hpp>

#include <algorithm>

namespace postern::app {
namespace {

bool contains(std::string_view text, std::string_view word) { return text.find(word) != text.npos; }

std::string in_words(std::chrono::seconds s) {
  const auto n = s.count() < 0 ? -s.count() : s.count();
  if (n < 120) return std::to_string(n) + " s";
  if (n < 7200) return std::to_string(n / 60) + " min " + std::to_string(n % 60) + " s";
  return std::to_string(n / 3600) + " h " + std::to_string(n % 3600 / 60) + " min";
}

// The user or role that writes to the store, as an administrator can find it.
std::string writer_of(const config& c, const sigv4::credentials& keys) {
  if (!c.store.role_arn.empty()) return "the role " + c.store.role_arn;
  return "the user of the access key " + quote(keys.access_key);
}

std::string where_to_add(const config& c) {
  if (!c.store.role_arn.empty())
    return "In the AWS console: IAM, Roles, " + role_name_of(c.store.role_arn) +
           ", Add permissions, Create inline policy, JSON. Or save it as policy.json and run:\n"
           "  aws iam put-role-policy --role-name " +
           role_name_of(c.store.role_arn) + " \\\n    --policy-name postern --policy-document file://policy.json\n";
  return "In the AWS console: IAM, Users, the user, Add permissions, Create inline policy, JSON. Or save it as "
         "policy.json and run:\n  aws iam put-user-policy --user-name NAME \\\n    --policy-name postern "
         "--policy-document file://policy.json\n";
}

} // namespace

// --- texts --------------------------------------------------------------------------

bool is_aws(const config& c) { return c.store.endpoint.empty(); }

std::string refusal_text(const aws_error& e) {
  auto out = e.code.empty() ? "status " + std::to_string(e.status) : quote(e.code);
  if (!e.message.empty()) out += ", " + quote(e.message, 400);
  return out;
}

std::string clock_remedy() {
  return "Set this machine's clock and keep it synchronized:\n"
         "  timedatectl set-ntp true       # or: apt install chrony\n"
         "  timedatectl                    # shows whether it is synchronized\n"
         "A container has the clock of its host: set it there.";
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

// --- connections and clocks -------------------------------------------------------------------------------

finding explain_unreachable(const std::string& setting, const std::string& url, const failure& why) {
  auto reason = why.on; // can begin with the same URL
  if (const auto at = reason.find(url + ": "); at != reason.npos) reason.erase(0, at + url.size() + 2);
  const auto cause = "nothing answers at " + url + ": " + reason;
  if (why.code == errc::timed_out || contains(why.on, "the connection"))
    return finding::failed("nothing answers at " + url + " in time",
                           "Check for a firewall or a missing route between this machine and that host. From this "
                           "machine, try:\n  curl -v " +
                               url);
  const bool is_store = setting.starts_with("store"), is_webhook = setting.starts_with("webhooks");
  const std::string section = setting.starts_with("store.") ? "[store]" : is_store ? "[[stores]]" : "[[webhooks]]";
  if (contains(why.on, "cannot be resolved"))
    return finding::failed(cause, "The DNS of this machine does not know the host name. Check the spelling in " +
                                      setting + "." +
                                      (is_store ? " A store that has no host name for each bucket needs:\n"
                                                  "  " +
                                                      section + "\n  path_style = true"
                                                : ""));
  // Words of OpenSSL.
  const bool is_certificate = contains(why.on, "certificate") || contains(why.on, "mismatch");
  if (contains(why.on, "TLS handshake") && is_certificate)
    return finding::failed(
        "the TLS certificate of " + url + " is not trusted here, or was issued for another name (" +
            why.on.substr(why.on.rfind(": ") + 2) + ")",
        (is_store || is_webhook
             ? "If an authority of your own issued it, name the certificate of that authority (PEM):\n  " + section +
                   "\n  ca_file = \"/etc/ssl/certs/our-ca.pem\"\n"
             : "Browsers reject it too, unless they trust its authority.\n") +
            std::string("Otherwise the server needs a certificate that is issued for the host name in ") + setting +
            ", has not expired, and is sent with its chain.");
  if (contains(why.on, "TLS handshake"))
    return finding::failed(cause, "That port may not speak TLS: then " + setting +
                                      " must begin with http:// instead of https://.");
  if (contains(why.on, "refused"))
    return finding::failed(
        cause, "The machine answers, but nothing listens on that port. Start the server, or correct host and port in " +
                   setting + ".");
  return finding::failed(cause, "Check " + setting + ", then try from this machine:\n  curl -v " + url);
}

finding judge_clock(const config& c, std::chrono::seconds ahead) {
  using namespace std::chrono_literals;
  auto shortest = std::chrono::seconds(24h * 7);
  for (const auto& [name, p] : c.profiles) shortest = std::min(shortest, p.expires);
  const auto off = std::chrono::abs(ahead);
  if (off <= 2s) return finding::passed("this machine's clock agrees with the store's");
  const auto text =
      "this machine's clock is " + in_words(off) + (ahead.count() > 0 ? " behind" : " ahead of") + " the store's";
  if (off > 15min)
    return finding::failed(text + "; S3 refuses requests with more than 15 min (RequestTimeTooSkewed)", clock_remedy());
  if (ahead >= shortest)
    return finding::failed(text + "; a form that is valid for " + in_words(shortest) + " has expired before it is sent",
                           clock_remedy());
  if (off > 60s) return finding::warning(text, clock_remedy());
  return finding::passed(text);
}

// --- the store --------------------------------------------------------------------------------------

finding explain_other_region(const config& c, const std::string& bucket, const std::string& region) {
  return finding::failed("the bucket " + quote(bucket) + " is in the region " + quote(region) + ", and " +
                             c.store.setting("region") + " is " + quote(c.store.region),
                         "A form is signed for one region, and S3 refuses it in another. Set:\n  " + c.store.header() +
                             "\n  region = \"" + region + "\"");
}

finding explain_refused_request(const config& c, const aws_error& e, const attempt& a) {
  if (e.status == 0) return explain_unreachable(c.store.setting("endpoint"), a.host, {e.category, e.message});
  if (auto by_keys = explain_refused_keys(c, e, a.keys, a.host)) return *by_keys;
  if (!e.region.empty() && e.region != c.store.region) return explain_other_region(c, a.bucket, e.region);
  if (e.code == "NoSuchBucket" || (e.status == 404 && e.code.empty())) {
    const auto at = is_aws(c) ? "" : " --endpoint-url " + c.store.endpoint;
    return finding::failed("there is no bucket " + quote(a.bucket) + (is_aws(c) ? " in S3" : " at " + c.store.endpoint),
                           "Create it, or name another bucket in " + c.store.setting("bucket") +
                               ":\n  aws s3 mb s3://" + a.bucket + " --region " + c.store.region + at);
  }
  if (e.code == "AccessDenied" || e.status == 403)
    return finding::failed(
        writer_of(c, a.keys) + " may not do " + a.action + " in " + quote(a.bucket) + " (" + refusal_text(e) + ")",
        "It needs this policy (`postern setup iam` prints it too):\n" + verbatim(upload_policy(c)) +
            (is_aws(c) ? where_to_add(c) + "If it has this policy already, look for a Deny in the bucket's policy and "
                                           "in the policies of the organization."
                       : "If the bucket belongs to another user, the bucket's policy must allow it."));
  if (e.status == 301 || e.status == 307 || e.status == 400)
    return finding::failed("the store refuses the request (" + refusal_text(e) + ")",
                           "Check that the bucket is in the region " + quote(c.store.region) + " (" +
                               c.store.setting("region") + "), and that " + quote(a.host) +
                               " is its host. Stores other than AWS nearly always need:\n  " + c.store.header() +
                               "\n  path_style = true");
  return finding::failed("the store refuses " + a.action + " (" + refusal_text(e) + ")",
                         e.status >= 500 ? "The store has a problem of its own. Look into its log, or try again later."
                                         : "The Amazon S3 API Reference explains the code under \"Error responses\".");
}

// --- forms ------------------------------------------------------------------------------------------

namespace {

// The field's name in `["eq", "$Content-Type", "image/png"]` or `Extra input fields: x-amz-meta-a`. Empty: there is
// none.
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

finding explain_refused_form(const config& c, const aws_error& e, const posted_form& p) {
  if (e.status == 405 || e.status == 501)
    return finding::failed("the store does not support POST Object (" + refusal_text(e) + ")",
                           "Browsers can upload only by the fallback, through Postern.");
  if (!e.region.empty() && e.region != c.store.region) return explain_other_region(c, p.bucket, e.region);
  if (e.code == "SignatureDoesNotMatch") {
    const bool was_changed = !e.string_to_sign.empty() && e.string_to_sign != p.policy;
    if (was_changed)
      return finding::failed("the store says SignatureDoesNotMatch: the form's field \"policy\" was changed on its way",
                             "A proxy at " + p.url + " passes on another form than the one that was posted.");
    return finding::failed(
        "the store says SignatureDoesNotMatch for the form, although it accepts requests with the same keys",
        "So the secret and the clock are right. Either " + c.store.setting("region") + " (" + quote(c.store.region) +
            ") is wrong, or a proxy at " + p.url + " changes a field.");
  }
  if (contains(e.message, "expired"))
    return finding::failed("the store says that the form has expired (" + refusal_text(e) + ")", clock_remedy());
  if (const auto field = field_in(e.message); !field.empty())
    return finding::failed("the store says that the field " + quote(field) + " is not the one that was signed",
                           "A proxy at " + p.url + " changes, adds or drops this field.");
  if (e.code == "AccessDenied" || e.status == 403)
    return finding::failed(
        "the store refuses the form, although it accepts a PUT with the same keys (" + refusal_text(e) + ")",
        "If the profile sets acl, tags or sse, its forms need further permissions:\n" + verbatim(upload_policy(c)) +
            "A bucket with Object Ownership \"bucket owner enforced\" also refuses an acl: then "
            "remove acl from the profile.");
  return finding::failed("the store refuses the form (" + refusal_text(e) + ")",
                         "The form was posted to " + p.url +
                             ". The Amazon S3 API Reference explains the code under \"Error responses\".");
}

finding explain_refused_origin(const config& c, const std::string& origin, const std::string& answer,
                               bool with_document, const std::string& setup_options) {
  const auto cause = "pages of " + origin + " may not post to the store (" + answer +
                     "); a browser shows \"No 'Access-Control-Allow-Origin' header is present\"";
  if (!with_document) return finding::failed(cause, "The CORS document above allows it.");
  return finding::failed(
      cause, "The bucket needs this CORS document. Put it with\n  postern setup cors --apply" + setup_options +
                 "\nor paste it (AWS console: S3, the bucket, Permissions, CORS, Edit):\n" +
                 verbatim(cors_for_console(c)) + "Until then browsers upload by the fallback, through Postern.");
}

finding explain_refused_by_store(const std::string& origin, const std::string& method, const std::string& answer) {
  return finding::failed(
      "pages of " + origin + " may not send " + method + " to the store (" + answer +
          "); a browser shows \"No 'Access-Control-Allow-Origin' header is present\"",
      "This store has no CORS documents for each bucket, but a setting of its own.\nSwift, in [filter:s3api]:\n"
      "  cors_preflight_allow_origin = " +
          origin + "\nand in [DEFAULT]:\n  cors_allow_origin = " + origin +
          "\n  cors_expose_headers = etag\n  strict_cors_mode = false\nMinIO:\n  mc admin config set ALIAS api "
          "cors_allow_origin=" +
          origin + "\nUntil then browsers upload by the fallback, through Postern.");
}

finding judge_large_form(const std::string& url, const result<http_response>& answer) {
  const std::string examples = "conf/nginx.conf and conf/haproxy.cfg are complete examples of proxies.";
  if (!answer)
    return finding::failed(
        "a form of more than 1 MiB to " + url + " is cut: " + answer.error().on,
        "Smaller requests pass, so a proxy at server.public_url limits the size or the time of a body. " + examples);
  if (answer->status == 413)
    return finding::failed("a proxy at server.public_url refuses a form of more than 1 MiB: " + url + " answers 413",
                           "Postern enforces the sizes itself, so let the proxy have no limit. In nginx:\n"
                           "  client_max_body_size 0;\n" +
                               examples);
  if (answer->status == 408 || (answer->status >= 502 && answer->status <= 504))
    return finding::failed(
        "a form of more than 1 MiB to " + url + " is answered with " + std::to_string(answer->status),
        "The proxy at server.public_url gives up before Postern has the whole form. Let it pass the body on as it "
        "arrives, and wait longer. " +
            examples);
  if (answer->status == 303) return finding::passed("a form of more than 1 MiB posted to " + url + " is stored");
  return finding::failed(
      "a form of more than 1 MiB to " + url + " is refused (" + refusal_text(read_aws_error(*answer, "PostObject")) +
          ")",
      "Check that the running server has this configuration; restart it if not. The server's log has "
      "the reason, in the line \"upload ended\".");
}

// --- webhooks ---------------------------------------------------------------------------------------

finding judge_webhook_answer(std::size_t number, const std::string& url, const http_response& answer) {
  if (answer.status >= 200 && answer.status < 300) return finding::passed(url + " accepts a test message");
  auto cause = url + " answers " + std::to_string(answer.status);
  if (answer.status >= 300 && answer.status < 400)
    return finding::failed(cause + ", a redirect to " + quote(answer.field("location"), 200),
                           "Postern does not follow redirects. Set " + setting_of_webhook(number, "url") +
                               " to the final URL.");
  if (!answer.body.empty()) cause += ": " + quote(answer.body, 120);
  if (answer.status == 410)
    return finding::failed(cause, "Postern sends nothing more to a receiver that answers 410. Let it answer 2xx, then "
                                  "send the dead letters again:\n  postern uploads webhooks --retry-all");
  if (answer.status == 404 || answer.status == 405)
    return finding::failed(cause,
                           "This path takes no POST. Correct the path in " + setting_of_webhook(number, "url") + ".");
  if (answer.status == 401 || answer.status == 403)
    return finding::failed(cause, "The receiver must verify the signature with the secret in " +
                                      setting_of_webhook(number, "secret") +
                                      " (after whsec_ comes the key in base64), over webhook-id, webhook-timestamp and "
                                      "the unchanged body, joined by dots. It must not require a login.");
  return finding::failed(
      cause, "The message was {\"type\": \"postern.test\"}. A receiver must answer 2xx to every message whose "
             "signature is right, also to types that it ignores. Its own log should say why it did not.");
}

finding explain_unanswered_webhook(std::size_t number, const std::string& url, const failure& why) {
  if (why.code == errc::forbidden)
    return finding::failed(why.on,
                           "Webhooks go to public addresses only, so that they cannot be aimed at internal servers. If "
                           "the receiver is internal, set:\n  [[webhooks]]\n  allow_private = true");
  if (why.code == errc::timed_out && contains(why.on, "no answer within"))
    return finding::failed(
        url + ": " + why.on,
        "The receiver must answer before it works on the message: let it queue the message and answer 2xx at once.");
  return explain_unreachable(setting_of_webhook(number, "url"), url, why);
}

} // namespace postern::app
