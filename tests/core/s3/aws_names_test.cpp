#include <postern/core/s3/aws_names.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <utility>

using namespace postern;

namespace {

bool mentions(const std::string& text, const char* word) {
  BOOST_TEST_MESSAGE(text);
  return text.find(word) != text.npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_partition_and_its_domain_follow_the_region) {
  struct row {
    std::string region, id, domain;
  };
  for (const auto& [region, id, domain] : {row{"us-east-1", "aws", "amazonaws.com"},
                                           {"eu-west-1", "aws", "amazonaws.com"},
                                           {"default", "aws", "amazonaws.com"},
                                           {"", "aws", "amazonaws.com"},
                                           {"cn-north-1", "aws-cn", "amazonaws.com.cn"},
                                           {"us-gov-west-1", "aws-us-gov", "amazonaws.com"},
                                           {"us-iso-east-1", "aws-iso", "c2s.ic.gov"},
                                           {"us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"},
                                           {"eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk"},
                                           {"us-isof-south-1", "aws-iso-f", "csp.hci.ic.gov"},
                                           {"eusc-de-east-1", "aws-eusc", "amazonaws.eu"}}) {
    BOOST_TEST(aws_partition_of(region).id == id, region);
    BOOST_TEST(aws_partition_of(region).domain == domain, region);
  }
}

BOOST_AUTO_TEST_CASE(hosts_of_amazon_s3_are_told_from_others) {
  for (const char* host :
       {"s3.amazonaws.com", "s3.eu-west-1.amazonaws.com", "s3-eu-west-1.amazonaws.com", "media.s3.amazonaws.com",
        "s3.dualstack.eu-west-1.amazonaws.com", "s3-fips.us-east-1.amazonaws.com",
        "s3-fips.dualstack.us-gov-west-1.amazonaws.com", "s3.cn-north-1.amazonaws.com.cn",
        "s3.us-iso-east-1.c2s.ic.gov", "s3.eusc-de-east-1.amazonaws.eu", "s3-accelerate.amazonaws.com",
        "s3-accelerate.dualstack.amazonaws.com", "bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com",
        "vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com",
        "my-point-123456789012.s3-accesspoint.us-west-2.amazonaws.com", "s3express-usw2-az1.us-west-2.amazonaws.com"})
    BOOST_TEST(is_aws_s3_host(host), host);
  for (const char* host :
       {"", "amazonaws.com", "s3.example.com", "s3.amazonaws.com.example.com", "s3.eu-west-1.notamazonaws.com",
        "localhost", "[::1]", "127.0.0.1", "ec2-1-2-3-4.compute-1.amazonaws.com", "eu-west-1.amazonaws.com",
        "s3-proxy-1234.us-east-1.elb.amazonaws.com", "abc123.execute-api.us-east-1.amazonaws.com",
        "sts.us-east-1.amazonaws.com", ".amazonaws.com", "s3x.eu-west-1.amazonaws.com"})
    BOOST_TEST(!is_aws_s3_host(host), host);
}

BOOST_AUTO_TEST_CASE(a_bucket_stands_in_the_host_if_it_can) {
  for (const bool tls : {false, true}) {
    for (const auto& name : {std::string("media"), std::string("a"), std::string("1-2"), std::string(63, 'a')})
      BOOST_TEST(fits_host_name(name, tls), name);
    for (const auto& name : {std::string(), std::string("Media"), std::string("my_media"), std::string("-a"),
                             std::string("a-"), std::string(".a"), std::string("a."), std::string("a..b"),
                             std::string("a.B"), std::string("A.b"), std::string(64, 'a')})
      BOOST_TEST(!fits_host_name(name, tls), name);
    BOOST_TEST(fits_host_name("my.media", tls) == !tls);
    BOOST_TEST(fits_host_name("a.b.c", tls) == !tls);
  }
}

BOOST_AUTO_TEST_CASE(a_host_of_amazon_s3_that_is_no_endpoint_is_refused_with_the_remedy) {
  for (const char* host :
       {"s3.eu-west-1.amazonaws.com", "s3.dualstack.eu-west-1.amazonaws.com", "s3-fips.us-east-1.amazonaws.com",
        "s3-accelerate.amazonaws.com", "bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com", "s3.example.com",
        "media.s3.example.com", "s3-proxy-1234.us-east-1.elb.amazonaws.com", "[::1]"})
    BOOST_TEST(why_no_endpoint(host) == "", host);
  BOOST_TEST(
      mentions(why_no_endpoint("media.s3.eu-west-1.amazonaws.com"), "write https://s3.eu-west-1.amazonaws.com "));
  BOOST_TEST(mentions(why_no_endpoint("my.media.s3.dualstack.eu-west-1.amazonaws.com"),
                      "write https://s3.dualstack.eu-west-1.amazonaws.com "));
  BOOST_TEST(mentions(why_no_endpoint("p-123456789012.s3-accesspoint.eu-west-1.amazonaws.com"), "-s3alias"));
  BOOST_TEST(mentions(why_no_endpoint("s3express-usw2-az1.us-west-2.amazonaws.com"), "general purpose bucket"));
}

BOOST_AUTO_TEST_CASE(a_bucket_that_cannot_be_used_is_refused_with_the_remedy) {
  for (const bool at_aws : {false, true}) {
    for (const char* name : {"media", "my.media", "Old_media", "my-point-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"})
      BOOST_TEST(why_no_bucket(name, at_aws) == "", name);
    for (const char* name : {"", "a/b", "my media", ".", "a..b"})
      BOOST_TEST(mentions(why_no_bucket(name, at_aws), "cannot be the name of a bucket"), name);
    for (const char* arn : {"arn:aws:s3:us-west-2:123456789012:accesspoint/my-point",
                            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:my-point"})
      BOOST_TEST(mentions(why_no_bucket(arn, at_aws), "use its alias"), arn);
    BOOST_TEST(mentions(why_no_bucket("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", at_aws), "SigV4A"));
    BOOST_TEST(mentions(why_no_bucket("arn:aws:s3:::media", at_aws), "the name of the bucket alone"));
  }
  for (const char* name : {"media--usw2-az1--x-s3", "my-point--usw2-az1--xa-s3"})
    BOOST_TEST(mentions(why_no_bucket(name, true), "S3 Express One Zone"), name);
  BOOST_TEST(mentions(why_no_bucket("mfzwi23gnjvgw.mrap", true), "SigV4A"));
  // Elsewhere these are names like others.
  for (const char* name : {"media--usw2-az1--x-s3", "my-point--usw2-az1--xa-s3", "media.mrap"})
    BOOST_TEST(why_no_bucket(name, false) == "", name);
}
