#include "support/captured_log.hpp"
#include <postern/app/stores/storage.hpp>

#include <boost/test/unit_test.hpp>

#include <string>
#include <utility>

using namespace postern;

namespace {

app::config config_with(const std::string& endpoint, const std::string& region) {
  app::config c;
  c.store.type = "s3";
  c.store.bucket = "media";
  c.store.endpoint = endpoint;
  c.store.region = region;
  c.profiles["default"].bucket = "media";
  return c;
}

} // namespace

BOOST_AUTO_TEST_CASE(sts_is_at_aws_or_at_the_endpoint_of_another_store) {
  struct row {
    std::string endpoint, region, sts;
  };
  for (const auto& [endpoint, region, sts] :
       {row{"", "eu-west-1", "https://sts.eu-west-1.amazonaws.com/"},
        row{"", "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/"},
        row{"", "us-gov-west-1", "https://sts.us-gov-west-1.amazonaws.com/"},
        row{"", "eusc-de-east-1", "https://sts.eusc-de-east-1.amazonaws.eu/"},
        row{"https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1", "https://sts.eu-west-1.amazonaws.com/"},
        row{"https://s3-fips.us-east-1.amazonaws.com", "us-east-1", "https://sts.us-east-1.amazonaws.com/"},
        row{"http://127.0.0.1:9000", "x", "http://127.0.0.1:9000"},
        row{"https://s3.example.com", "x", "https://s3.example.com"}}) {
    auto c = config_with(endpoint, region);
    BOOST_TEST(app::sts_of(c).endpoint == sts, endpoint << " " << region);
    BOOST_TEST(app::sts_of(c).region == region);
    c.store.sts_endpoint = "https://sts.example.com/sts";
    BOOST_TEST(app::sts_of(c).endpoint == "https://sts.example.com/sts");
  }
}

BOOST_AUTO_TEST_CASE(browsers_post_to_the_public_endpoint) {
  auto c = config_with("http://10.0.0.1:9000", "eu-west-1");
  BOOST_TEST(app::direct_urls(c).at("media") == "http://10.0.0.1:9000/media/");
  for (const auto& [endpoint, url] :
       {std::pair{"https://s3.example.com", "https://media.s3.example.com/"},
        {"https://s3.dualstack.eu-west-1.amazonaws.com", "https://media.s3.dualstack.eu-west-1.amazonaws.com/"},
        {"https://s3-accelerate.amazonaws.com", "https://media.s3-accelerate.amazonaws.com/"}}) {
    c.store.public_endpoint = endpoint;
    BOOST_TEST(app::direct_urls(c).at("media") == url);
  }
  c.store.type = "file";
  BOOST_TEST(app::direct_urls(c).empty());
}

BOOST_AUTO_TEST_CASE(a_profile_that_allows_more_than_a_form_takes_is_logged) {
  auto c = config_with("", "eu-west-1");
  const auto add = [&](const std::string& name, std::uint64_t min, std::uint64_t max) {
    auto& p = c.profiles[name];
    p.bucket = "media";
    p.min_size = min;
    p.max_size = max;
    p.ways = {upload_way::form, upload_way::fallback};
  };
  constexpr std::uint64_t gibibyte = 1 << 30;
  add("exact", 0, 5 * gibibyte);
  add("above", 5 * gibibyte, 5 * gibibyte + 1);
  add("fallback_alone", 5 * gibibyte + 1, 6 * gibibyte);
  add("in_parts", 0, 6 * gibibyte);
  c.profiles["in_parts"].ways.push_back(upload_way::multipart);
  const auto logged = [&c] {
    const test::captured_log log;
    app::log_sizes_beyond_a_form(c);
    return log.text();
  };
  const auto text = logged();
  BOOST_TEST(text.find("profile=above max_size=5368709121 largest_form=5GiB") != text.npos, text);
  BOOST_TEST(text.find("profiles.above.max_size") != text.npos);
  BOOST_TEST((text.find("exact") == text.npos && text.find("fallback_alone") == text.npos), text);
  BOOST_TEST(text.find("in_parts") == text.npos, text);
  c.store.type = "file";
  BOOST_TEST(logged() == "");
}
