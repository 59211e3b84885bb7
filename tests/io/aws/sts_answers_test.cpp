#include "support/xml_answers.hpp"
#include <postern/io/aws/sts_answers.hpp>

#include <boost/test/unit_test.hpp>

#include <string>

using namespace postern;
using namespace postern::test;

namespace {

const std::string operation = "AssumeRole arn";

std::string role(const std::string& key, const std::string& hidden, const std::string& token,
                 const std::string& end = "2026-11-23T19:15:00Z") {
  return "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>"
         "<SessionToken>" +
         token + "</SessionToken><SecretAccessKey>" + hidden + "</SecretAccessKey><Expiration>" + end +
         "</Expiration><AccessKeyId>" + key + "</AccessKeyId></Credentials></AssumeRoleResult></AssumeRoleResponse>";
}

aws_result<held_credentials> read(const std::string& body, int status = 200) {
  return read_role_credentials(xml_answer(body, status), operation, "role arn");
}

} // namespace

BOOST_AUTO_TEST_CASE(credentials_of_a_role_are_read_in_any_order) {
  const auto held = read(role("ASIA", "hidden", "token"));
  BOOST_TEST_REQUIRE(held.has_value());
  BOOST_TEST(held->keys.access_key == "ASIA");
  BOOST_TEST(held->keys.secret_key.reveal() == "hidden");
  BOOST_TEST(held->keys.session_token == "token");
  BOOST_TEST((held->expires == parse_iso8601("2026-11-23T19:15:00Z").value()));
  BOOST_TEST(held->source == "role arn");
}

BOOST_AUTO_TEST_CASE(incomplete_credentials_are_no_credentials) {
  for (const auto& bad : {role("", "h", "t"), role("k", "", "t"), role("k", "h", ""), role("k", "h", "t", ""),
                          role("k", "h", "t", "tomorrow"), std::string("<Credentials/>")}) {
    const auto none = read(bad);
    BOOST_TEST_REQUIRE(!none.has_value(), bad);
    BOOST_TEST((none.error().category == errc::unavailable));
    BOOST_TEST(none.error().message == "the answer has no complete <Credentials>");
  }
}

BOOST_AUTO_TEST_CASE(an_sts_document_is_read_whole_or_not_at_all) {
  for (const auto& broken : broken_documents(role("k", "h", "t"))) {
    const auto none = read(broken);
    BOOST_TEST_REQUIRE(!none.has_value(), broken);
    BOOST_TEST((none.error().category == errc::unavailable), broken);
  }
  const std::string identity = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/x</Arn>"
                               "</GetCallerIdentityResult></GetCallerIdentityResponse>";
  BOOST_TEST(read_caller_arn(xml_answer(identity), operation).value() == "arn:aws:iam::1:user/x");
  for (const auto& broken : broken_documents(identity))
    BOOST_TEST(!read_caller_arn(xml_answer(broken), operation).has_value(), broken);
}

BOOST_AUTO_TEST_CASE(an_answer_of_another_status_is_an_error) {
  const auto refused = read("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", 403);
  BOOST_TEST_REQUIRE(!refused.has_value());
  BOOST_TEST(refused.error().code == "AccessDenied");
  BOOST_TEST(!read(role("k", "h", "t"), 500).has_value());
  BOOST_TEST(!read_caller_arn(xml_answer("<a><Arn>x</Arn></a>", 403), operation).has_value());
}
