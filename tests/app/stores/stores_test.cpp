#include <postern/app/config/config.hpp>
#include <postern/app/stores/stores.hpp>

#include <boost/test/unit_test.hpp>

#include <string>

using namespace postern;

namespace {

struct fixture {
  app::config c = [] {
    const char* const none[] = {nullptr};
    return app::parse_config(R"(
[server]
secrets = ["sixteen bytes or more"]
[store]
type = "s3"
bucket = "media"
credentials = { access_key = "AKIA", secret_key = "s" }
[[stores]]
name = "archive"
type = "s3"
bucket = "tape"
other_buckets = "*"
region = "eu-west-1"
credentials = { access_key = "AKIB", secret_key = "t" }
[[stores]]
name = "unused"
bucket = "papers"
[profiles.old]
store = "archive"
)",
                             none);
  }();
  const signer own{c.server.secrets};
};

} // namespace

BOOST_FIXTURE_TEST_CASE(each_store_sees_its_own_profiles, fixture) {
  const auto all = app::by_store(c);
  BOOST_TEST(all.size() == 3u);
  BOOST_TEST((all[0].profiles.size() == 1 && all[0].profiles.contains("default")));
  BOOST_TEST((all[1].profiles.size() == 1 && all[1].profiles.contains("old")));
  BOOST_TEST(all[2].profiles.empty());
  BOOST_TEST(all[1].store.name == "archive");
  for (const auto& one : all) BOOST_TEST(one.stores.empty());
  BOOST_TEST((app::buckets_of(all[1]) == std::set<std::string>{"tape"}));
}

BOOST_FIXTURE_TEST_CASE(a_bucket_is_found_in_its_store, fixture) {
  const app::stores all(c, own);
  BOOST_TEST(all.find("media")->region == "us-east-1");
  BOOST_TEST(all.find("tape")->region == "eu-west-1");
  BOOST_TEST(all.find("whatever")->region == "eu-west-1"); // it takes any bucket
  BOOST_TEST(all.find("papers") == &all.all()[2]->forms);
  BOOST_TEST(all.find("a/b") == nullptr); // cannot be a bucket
  BOOST_TEST(all.find("tape")->max_key_part == 0u);
  BOOST_TEST(all.find("papers")->max_key_part == 255u);
  BOOST_TEST((all.buckets() == std::vector<std::string>{"media", "tape", "*", "papers"}));
  BOOST_TEST(all.direct_urls().size() == 2u);
}

BOOST_FIXTURE_TEST_CASE(one_store_with_credentials_is_enough_to_sign, fixture) {
  const app::stores all(c, own);
  BOOST_TEST(!all.any_has_credentials()); // none were fetched yet
  BOOST_TEST(all.fetch_credentials("tape").has_value());
  BOOST_TEST(all.any_has_credentials());
  BOOST_TEST(all.find("media")->credentials() == nullptr);
  BOOST_TEST(all.find("tape")->credentials()->keys.access_key == "AKIB");
  BOOST_TEST(all.fetch_credentials().empty());
  BOOST_TEST(all.find("media")->credentials()->keys.access_key == "AKIA");
}

BOOST_FIXTURE_TEST_CASE(missing_credentials_are_those_of_a_named_store, fixture) {
  c.stores.front().access_key.clear();
  c.stores.front().profile = "absent";
  c.environment = {{"AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"}, {"AWS_CONFIG_FILE", "/nonexistent"}};
  const app::stores all(c, own);
  const auto missing = all.fetch_credentials();
  BOOST_TEST(missing.size() == 1u);
  BOOST_TEST(missing.front().first == "archive");
  BOOST_TEST(all.fetch_credentials("tape").error().on.starts_with("stores.archive.credentials: "));
}
