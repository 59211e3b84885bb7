// Where requests for a bucket go: the endpoint's setting, the region and the bucket's name against the host and the
// path that are signed.
#include <postern/io/s3/s3_request.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <string_view>
#include <vector>

using namespace postern;

namespace {

struct row {
  std::string endpoint, region, bucket, host, path;
};

void check(const std::vector<row>& rows, bool path_style, std::string_view scheme = "https://") {
  for (const auto& r : rows) BOOST_TEST_CONTEXT(r.endpoint << " " << r.region << " " << r.bucket) {
      s3_options o;
      o.endpoint = r.endpoint;
      o.path_style = path_style;
      o.region = "configured"; // the region of the request counts
      const auto place = locate_bucket(o, r.region, r.bucket).value();
      BOOST_TEST(place.at.origin() == std::string(scheme) + r.host);
      BOOST_TEST(place.at.authority() == r.host); // the Host field, which is signed
      BOOST_TEST(place.path == r.path);
      BOOST_TEST(place.region == r.region);
    }
}

errc code_of(const std::string& endpoint, const std::string& bucket, bool path_style = false) {
  s3_options o;
  o.endpoint = endpoint;
  o.path_style = path_style;
  const auto place = locate_bucket(o, "eu-west-1", bucket);
  BOOST_TEST_REQUIRE(!place.has_value());
  BOOST_TEST((place.error().code == errc::no_such_bucket || place.error().on.starts_with("store.endpoint: ")));
  return place.error().code;
}

const std::string dualstack = "https://s3.dualstack.eu-west-1.amazonaws.com";
const std::string fips = "https://s3-fips.us-east-1.amazonaws.com";
const std::string fips_dualstack = "https://s3-fips.dualstack.us-gov-west-1.amazonaws.com";
const std::string interface = "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com";
const std::string accelerated = "https://s3-accelerate.amazonaws.com";
const std::string alias = "my-point-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias"; // of an access point

} // namespace

BOOST_AUTO_TEST_CASE(without_an_endpoint_the_host_is_that_of_the_regions_partition) {
  check({{"", "us-east-1", "media", "media.s3.us-east-1.amazonaws.com", "/"},
         {"", "eu-west-1", "media", "media.s3.eu-west-1.amazonaws.com", "/"},
         {"", "cn-north-1", "media", "media.s3.cn-north-1.amazonaws.com.cn", "/"},
         {"", "cn-northwest-1", "media", "media.s3.cn-northwest-1.amazonaws.com.cn", "/"},
         {"", "us-gov-west-1", "media", "media.s3.us-gov-west-1.amazonaws.com", "/"},
         {"", "eusc-de-east-1", "media", "media.s3.eusc-de-east-1.amazonaws.eu", "/"},
         {"", "us-iso-east-1", "media", "media.s3.us-iso-east-1.c2s.ic.gov", "/"},
         {"", "us-isob-east-1", "media", "media.s3.us-isob-east-1.sc2s.sgov.gov", "/"},
         {"", "eu-west-1", alias, alias + ".s3.eu-west-1.amazonaws.com", "/"},
         {"", "eu-west-1", "", "s3.eu-west-1.amazonaws.com", "/"}}, // the service itself
        false);
  check({{"", "eu-west-1", "media", "s3.eu-west-1.amazonaws.com", "/media/"},
         {"", "cn-north-1", "media", "s3.cn-north-1.amazonaws.com.cn", "/media/"},
         {"", "us-gov-east-1", "media", "s3.us-gov-east-1.amazonaws.com", "/media/"},
         {"", "eu-west-1", alias, "s3.eu-west-1.amazonaws.com", "/" + alias + "/"}},
        true);
}

BOOST_AUTO_TEST_CASE(other_endpoints_of_aws_have_the_bucket_in_front_too) {
  check({{dualstack, "eu-west-1", "media", "media.s3.dualstack.eu-west-1.amazonaws.com", "/"},
         {dualstack, "eu-west-1", alias, alias + ".s3.dualstack.eu-west-1.amazonaws.com", "/"},
         {dualstack, "eu-west-1", "my.media", "s3.dualstack.eu-west-1.amazonaws.com", "/my.media/"},
         {fips, "us-east-1", "media", "media.s3-fips.us-east-1.amazonaws.com", "/"},
         {fips_dualstack, "us-gov-west-1", "media", "media.s3-fips.dualstack.us-gov-west-1.amazonaws.com", "/"},
         {interface, "us-east-1", "media", "media.bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com", "/"},
         {accelerated, "us-east-1", "media", "media.s3-accelerate.amazonaws.com", "/"}},
        false);
  check({{dualstack, "eu-west-1", "media", "s3.dualstack.eu-west-1.amazonaws.com", "/media/"},
         {fips, "us-east-1", "media", "s3-fips.us-east-1.amazonaws.com", "/media/"},
         {interface, "us-east-1", "media", "bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com", "/media/"}},
        true);
}

BOOST_AUTO_TEST_CASE(a_name_that_cannot_stand_in_a_host_is_in_the_path) {
  const std::string plain = "http://s3.example.com", tls = "https://s3.example.com";
  check({{"", "eu-west-1", "my.media", "s3.eu-west-1.amazonaws.com", "/my.media/"}, // no certificate covers it
         {tls, "x", "my.media", "s3.example.com", "/my.media/"},
         {tls, "x", "my_media", "s3.example.com", "/my_media/"},
         {tls, "x", "Media", "s3.example.com", "/Media/"}, // browsers write a host in small letters
         {tls, "x", "-media", "s3.example.com", "/-media/"},
         {tls, "x", std::string(63, 'a'), std::string(63, 'a') + ".s3.example.com", "/"},
         {tls, "x", std::string(64, 'a'), "s3.example.com", "/" + std::string(64, 'a') + "/"}},
        false);
  check({{plain, "x", "my.media", "my.media.s3.example.com", "/"},
         {plain, "x", "my.Media", "s3.example.com", "/my.Media/"},
         {plain, "x", ".media", "s3.example.com", "/.media/"},
         {plain, "x", "my_media", "s3.example.com", "/my_media/"}},
        false, "http://");
}

BOOST_AUTO_TEST_CASE(an_endpoint_may_have_a_port_or_be_an_address) {
  check({{"https://s3.example.com:8443/", "x", "media", "media.s3.example.com:8443", "/"},
         {"https://S3.Example.com:443", "x", "media", "media.s3.example.com", "/"},
         {"https://[2001:DB8::1]:8443", "x", "media", "[2001:db8::1]:8443", "/media/"},
         {"https://10.0.0.1.nip.io", "x", "media", "media.10.0.0.1.nip.io", "/"}},
        false);
  // An address cannot have a subdomain.
  check({{"http://127.0.0.1:9000", "x", "media", "127.0.0.1:9000", "/media/"},
         {"http://[::1]:9000", "x", "media", "[::1]:9000", "/media/"},
         {"http://[::1]", "x", "media", "[::1]", "/media/"}},
        false, "http://");
  check({{"http://localhost:9000", "x", "My_media", "localhost:9000", "/My_media/"},
         {"http://127.0.0.1:9000", "x", "", "127.0.0.1:9000", "/"}},
        true, "http://");
}

BOOST_AUTO_TEST_CASE(an_endpoint_with_a_path_is_refused) {
  for (const char* endpoint : {"s3.example.com", "ftp://s3.example.com", "https://s3.example.com/minio",
                               "https://s3.example.com/?x", "https://s3.example.com//", "https://[::1"})
    for (const bool path_style : {false, true})
      BOOST_TEST((code_of(endpoint, "media", path_style) == errc::invalid_argument), endpoint);
}

// An invalid name would change the URL or the request.
BOOST_AUTO_TEST_CASE(a_name_that_no_bucket_can_have_is_refused) {
  for (const char* name :
       {"x\r\nHost: y", "a/../b", "..", "b?x", "my media", "arn:aws:s3:eu-west-1:123456789012:accesspoint/my-point"})
    for (const bool path_style : {false, true})
      BOOST_TEST((code_of("http://s3.example.com", name, path_style) == errc::no_such_bucket), name);
}
