#include "support/xml_answers.hpp"
#include <postern/io/aws/aws_error.hpp>

#include <boost/test/unit_test.hpp>

#include <string>

using namespace postern;
using namespace postern::test;

BOOST_AUTO_TEST_CASE(a_document_that_was_cut_is_an_error_without_a_code) {
  const std::string document = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>m</Message>"
                               "<Region>eu-west-1</Region></Error>";
  const auto whole = read_aws_error(xml_answer(document, 404), "GetObject");
  BOOST_TEST(whole.code == "NoSuchKey");
  BOOST_TEST(whole.message == "m");
  BOOST_TEST(whole.region == "eu-west-1");
  for (const auto& broken : broken_documents(document)) {
    const auto e = read_aws_error(xml_answer(broken, 503), "GetObject");
    BOOST_TEST((e.code.empty() && e.message.empty() && e.region.empty()), broken);
    BOOST_TEST((e.status == 503 && e.category == errc::unavailable && e.operation == "GetObject"), broken);
  }
}

BOOST_AUTO_TEST_CASE(only_a_region_name_is_a_region) {
  const auto region = [](const std::string& in_body, const std::string& in_header) {
    const auto body = "<Error><Code>PermanentRedirect</Code><Region>" + in_body + "</Region></Error>";
    return read_aws_error({301, {{"x-amz-bucket-region", in_header}}, body}, "HeadBucket").region;
  };
  BOOST_TEST(region("eu-west-1", "") == "eu-west-1");
  BOOST_TEST(region("", "eu-west-1") == "eu-west-1");
  BOOST_TEST(region("eu-west-1", "ap-south-1") == "eu-west-1");
  for (const auto& bad : {std::string("evil.example/"), std::string("x#"), std::string("eu_west"), std::string("a b"),
                          std::string("127.0.0.1:80/?"), std::string(64, 'r')}) {
    BOOST_TEST(region(bad, "") == "", bad);
    BOOST_TEST(region("", bad) == "", bad);
    BOOST_TEST(region(bad, "ap-south-1") == "ap-south-1", bad);
  }
}

BOOST_AUTO_TEST_CASE(a_refusal_that_only_the_operator_can_repair_has_a_remedy) {
  aws_error e;
  e.status = 403;
  for (const auto& [code, words] : {std::pair{"SignatureDoesNotMatch", "store.credentials.secret_key"},
                                    {"InvalidAccessKeyId", "store.credentials.access_key"},
                                    {"NoSuchBucket", "store.bucket"},
                                    {"AccessDenied", "postern setup iam"},
                                    {"", "postern doctor"}}) { // the answer to a HEAD
    e.code = code;
    BOOST_TEST(remedy_of(e).find(words) != std::string_view::npos, code);
  }
  for (const char* other : {"NoSuchKey", "SlowDown", "RequestTimeTooSkewed", "ExpiredToken"}) {
    e.code = other;
    BOOST_TEST(remedy_of(e).empty(), other);
  }
  e.code = "";
  e.status = 404; // an object that is absent
  BOOST_TEST(remedy_of(e).empty());
}
