#include <postern/core/manage_request.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;

BOOST_AUTO_TEST_CASE(bodies_of_claims_and_rejections) {
  BOOST_TEST(parse_claim_body("").value() == "");
  BOOST_TEST(parse_claim_body("{}").value() == "");
  BOOST_TEST(parse_claim_body(R"({"reference":"order 17"})").value() == "order 17");
  BOOST_TEST(parse_reject_body(R"({"reason":"a virus"})").value().reason == "a virus");
  const auto both = parse_reject_body(R"({"etag":"9a71","reason":"a virus"})").value();
  BOOST_TEST((both.etag == "9a71" && both.reason == "a virus" && !both.is_accepted));
  BOOST_TEST(parse_accept_body(R"({"etag":"9a71"})").value().etag == "9a71");
  BOOST_TEST((parse_accept_body("").value().is_accepted && parse_accept_body("{}").value().etag.empty()));
  BOOST_TEST(!parse_accept_body(R"({"reason":"x"})"));
  BOOST_TEST(parse_claim_body("{\"reference\":\"" + std::string(max_reference, 'x') + "\"}").has_value());
  const std::string refused[] = {"{",
                                 "[]",
                                 "\"x\"",
                                 R"({"reference":1})",
                                 R"({"reference":null})",
                                 R"({"reason":"x"})",
                                 R"({"reference":"a","reference":"a"})",
                                 R"({"reference":"a","more":"b"})",
                                 R"({"reference":"a\nb"})",
                                 "{\"reference\":\"\xff\"}",
                                 "{\"reference\":\"" + std::string(max_reference + 1, 'x') + "\"}"};
  for (const auto& body : refused) BOOST_TEST_CONTEXT(body) BOOST_TEST(!parse_claim_body(body));
}

BOOST_AUTO_TEST_CASE(verdicts_are_read_strictly) {
  BOOST_TEST(parse_verdict(R"({"verdict":"accept","scanner":"1.4"})").value().is_accepted);
  const auto rejected = parse_verdict(R"({"verdict":"reject","reason":"a\u0007\u00e4"})").value();
  BOOST_TEST((!rejected.is_accepted && rejected.reason == "a\xc3\xa4"));
  BOOST_TEST(parse_verdict(R"({"verdict":"reject"})").value().reason == "");
  BOOST_TEST(parse_verdict(R"({"verdict":"reject","reason":7})").value().reason == "");
  const auto cut =
      parse_verdict("{\"verdict\":\"reject\",\"reason\":\"" + std::string(max_reason - 1, 'x') + "\xc3\xa4\"}");
  BOOST_TEST(cut.value().reason.size() == max_reason - 1); // at a character's border
  for (const auto* body :
       {"", "accept", "true", "[]", "{}", R"({"verdict":true})", R"({"verdict":"Accept"})", R"({"verdict":null})"})
    BOOST_TEST_CONTEXT(body) BOOST_TEST(!parse_verdict(body));
}
