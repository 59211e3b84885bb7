#include <postern/io/aws/sts_answers.hpp>
#include <postern/io/aws/xml_answer.hpp>

#include <optional>
#include <string_view>

namespace postern {

namespace {

// The first element of this name, at any depth.
pugi::xml_node find_element(pugi::xml_node top, std::string_view name) {
  return top.find_node([&](const pugi::xml_node& n) { return n.name() == name; });
}

} // namespace

// <AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>…, in any namespace and order.
aws_result<held_credentials> read_role_credentials(const http_response& answer, const std::string& operation,
                                                   const std::string& source) {
  if (answer.status != 200) return read_aws_error(answer, operation);
  pugi::xml_document document;
  const auto keys = find_element(read_xml(document, answer.body), "Credentials");
  const auto expires = parse_iso8601(keys.child_value("Expiration"));
  held_credentials out{
      {keys.child_value("AccessKeyId"), secret(keys.child_value("SecretAccessKey")), keys.child_value("SessionToken")},
      std::nullopt,
      source};
  if (out.keys.access_key.empty() || out.keys.secret_key.empty() || out.keys.session_token.empty() || !expires) {
    auto unreadable = unexpected_answer(answer, operation, "the answer has no complete <Credentials>");
    unreadable.category = errc::unavailable;
    return unreadable;
  }
  out.expires = *expires;
  return out;
}

// <GetCallerIdentityResponse><GetCallerIdentityResult><Arn>…
aws_result<std::string> read_caller_arn(const http_response& answer, const std::string& operation) {
  if (answer.status != 200) return read_aws_error(answer, operation);
  pugi::xml_document document;
  std::string arn = find_element(read_xml(document, answer.body), "Arn").text().get();
  if (arn.empty()) return unexpected_answer(answer, operation, "the answer has no <Arn>");
  return arn;
}

} // namespace postern
