// Which endpoints and buckets a configuration may name, and what its error says about the others.
#include <postern/app/config/config.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace postern;

namespace {

const char* const no_environment[] = {nullptr};

// The error of a configuration with this [store] section and what follows; empty: it has none.
std::string error_of(const std::string& store, const std::string& behind = "") {
  try {
    app::parse_config("[server]\nsecrets = [\"sixteen bytes or more\"]\n[store]\n" + store + "\n" + behind,
                      no_environment);
  } catch (const app::config_error& e) {
    return e.what();
  }
  return "";
}

const std::string s3 = "type = \"s3\"\nbucket = \"media\"\n";

std::string with_endpoint(const std::string& url) { return s3 + "endpoint = \"" + url + "\"\n"; }

bool is_error_of(const std::string& error, const std::string& setting, const std::string& part) {
  BOOST_TEST_MESSAGE(error);
  return error.starts_with(setting + ": ") && error.find(part) != error.npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(an_endpoint_is_the_url_of_a_server) {
  for (const char* url :
       {"", "https://s3.example.com", "https://s3.example.com/", "http://127.0.0.1:9000", "http://[::1]:9000",
        "https://s3.dualstack.eu-west-1.amazonaws.com", "https://s3-fips.us-east-1.amazonaws.com",
        "https://s3.cn-north-1.amazonaws.com.cn", "https://bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com"}) {
    BOOST_TEST(error_of(with_endpoint(url)) == "", url);
    BOOST_TEST(error_of(s3 + "public_endpoint = \"" + url + "\"") == "", url);
  }
  struct row {
    std::string url, part;
  };
  for (const auto& [url, part] :
       {row{"s3.example.com", "write it like https://s3.example.com"},
        row{"https://s3.example.com/minio", "has a path or a query, which S3 has no place for; write "
                                            "https://s3.example.com"},
        row{"https://s3.example.com:8443/?a=b", "write https://s3.example.com:8443"},
        row{"https://media.s3.eu-west-1.amazonaws.com", "write https://s3.eu-west-1.amazonaws.com"},
        row{"https://p-123456789012.s3-accesspoint.eu-west-1.amazonaws.com", "-s3alias"},
        row{"https://s3express-usw2-az1.us-west-2.amazonaws.com", "takes no forms"}}) {
    BOOST_TEST(is_error_of(error_of(with_endpoint(url)), "store.endpoint", part), url);
    BOOST_TEST(is_error_of(error_of(s3 + "public_endpoint = \"" + url + "\""), "store.public_endpoint", part), url);
  }
  // STS may be behind a path.
  BOOST_TEST(error_of(s3 + "credentials = { sts_endpoint = \"https://sts.example.com/sts\" }") == "");
}

BOOST_AUTO_TEST_CASE(a_bucket_of_s3_express_is_refused_at_aws) {
  const std::string express = "media--usw2-az1--x-s3", why = "directory bucket (S3 Express One Zone)";
  const std::string at_aws[] = {"type = \"s3\"\n",
                                "type = \"s3\"\nendpoint = \"https://s3.us-west-2.amazonaws.com\"\n"};
  for (const auto& store : at_aws) {
    BOOST_TEST(is_error_of(error_of(store + "bucket = \"" + express + "\""), "store.bucket", why), store);
    BOOST_TEST(is_error_of(error_of(store + "bucket = \"media\"\nother_buckets = [\"a\", \"" + express + "\"]"),
                           "store.other_buckets", why),
               store);
    BOOST_TEST(is_error_of(error_of(store + "bucket = \"media\"\nother_buckets = \"*\"",
                                    "[profiles.a]\nbucket = \"" + express + "\""),
                           "profiles.a.bucket", why),
               store);
  }
  for (const std::string elsewhere : {"type = \"s3\"\nendpoint = \"https://s3.example.com\"\n", "type = \"file\"\n"})
    BOOST_TEST(error_of(elsewhere + "bucket = \"" + express + "\"") == "", elsewhere);
}

BOOST_AUTO_TEST_CASE(an_access_point_is_named_by_its_alias) {
  const std::string store = "type = \"s3\"\nbucket = ";
  BOOST_TEST(error_of(store + "\"my-point-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias\"") == "");
  BOOST_TEST(is_error_of(error_of(store + "\"arn:aws:s3:eu-west-1:123456789012:accesspoint/my-point\""), "store.bucket",
                         "use its alias, which ends in -s3alias"));
  BOOST_TEST(is_error_of(error_of(store + "\"arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap\""),
                         "store.bucket", "SigV4A"));
}

// The start logs a warning; the declared size of a larger file leads it to the fallback.
BOOST_AUTO_TEST_CASE(a_profile_may_allow_more_than_a_form_takes) {
  BOOST_TEST(error_of(s3, "[profiles.a]\nmax_size = \"5TiB\"") == "");
}

BOOST_AUTO_TEST_CASE(the_direct_ways_are_auto_or_a_list) {
  using way = app::config::direct_way;
  const auto ways_of = [](const std::string& line) {
    return app::parse_config("[server]\nsecrets = [\"sixteen bytes or more\"]\n[store]\n" + s3 + line, no_environment)
        .store.ways;
  };
  BOOST_TEST(!ways_of("").has_value());
  BOOST_TEST(!ways_of("ways = \"auto\"").has_value());
  BOOST_TEST((ways_of("ways = []") == std::vector<way>{}));
  BOOST_TEST(
      (ways_of("ways = [\"multipart\", \"put\", \"form\"]") == std::vector<way>{way::multipart, way::put, way::form}));
  const std::string setting = "store.ways (line 6)";
  BOOST_TEST(is_error_of(error_of(s3 + "ways = \"put\""), setting,
                         "\"put\" is neither \"auto\" nor a list of \"form\", \"put\" and \"multipart\""));
  BOOST_TEST(is_error_of(error_of(s3 + "ways = true"), setting, "neither \"auto\" nor a list"));
  BOOST_TEST(is_error_of(error_of(s3 + "ways = [\"post\"]"), setting, "\"post\" is not one of: form, put, multipart"));
  BOOST_TEST(is_error_of(error_of("type = \"file\"\nways = [\"put\"]"), "store.ways", "Postern only"));
  BOOST_TEST(error_of("type = \"file\"\nways = []") == "");
  const auto of_further = error_of("type = \"file\"", "[[stores]]\nname = \"a\"\n" + s3 + "ways = \"x\"");
  BOOST_TEST(of_further.find(": number 1, ways: \"x\" is neither") != std::string::npos, of_further);
}

BOOST_AUTO_TEST_CASE(checksums_and_if_none_match_are_auto_or_none) {
  for (const std::string setting : {"checksums", "if_none_match"}) {
    for (const std::string value : {"auto", "none"}) BOOST_TEST(error_of(s3 + setting + " = \"" + value + "\"") == "");
    BOOST_TEST(is_error_of(error_of(s3 + setting + " = \"crc32c\""), "store." + setting + " (line 6)",
                           "\"crc32c\" is not one of: auto, none"));
  }
}
