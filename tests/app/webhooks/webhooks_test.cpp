#include <postern/app/webhooks/webhooks.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using app::config_error;

namespace {

const char* const no_environment[] = {nullptr};
const std::string secrets = "[server]\nsecrets = [\"sixteen bytes or more\"]\n";
const std::string good = "secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\"\n"; // 0123456789abcdef01234567

// One endpoint with these lines.
std::string hook(const std::string& lines) { return "[[webhooks]]\n" + lines; }
std::string at(const std::string& url, const std::string& more = "") {
  return hook("url = \"" + url + "\"\n" + good + more);
}

std::string error_text(const std::string& toml, const char* const* environment = no_environment) {
  try {
    const app::webhook_clients made(app::parse_config(secrets + toml, environment));
  } catch (const config_error& e) {
    return e.what();
  }
  return "";
}

bool error_mentions(const std::string& toml, std::initializer_list<const char*> of) {
  const auto text = error_text(toml);
  for (const char* word : of)
    if (text.find(word) == text.npos) {
      BOOST_TEST_MESSAGE(toml << " gave: " << text << " without: " << word);
      return false;
    }
  return true;
}

} // namespace

BOOST_AUTO_TEST_CASE(endpoints_are_read) {
  const char* const environment[] = {"HOOK_SECRET=a secret of the environment", nullptr};
  const auto c = app::parse_config(secrets + at("https://App.example.com/hooks?x=1") + hook(R"(
url = "http://10.0.0.7:8000"
secret = [{ env = "HOOK_SECRET" }, "another of sixteen bytes"]
types = ["upload.completed", "upload.expired"]
allow_private = true
)"),
                                   environment);
  BOOST_REQUIRE(c.webhooks.size() == 2u);
  const app::webhook_clients made(c);
  const auto& first = made.endpoints()[0];
  BOOST_TEST(first.url == "https://App.example.com/hooks?x=1"); // unchanged, because the ledger stores it so
  BOOST_TEST(first.at.server.origin() == "https://app.example.com");
  BOOST_TEST(first.at.target == "/hooks?x=1");
  BOOST_REQUIRE(first.keys.size() == 1u);
  BOOST_TEST(first.keys[0].reveal() == "0123456789abcdef01234567");
  const auto& second = made.endpoints()[1];
  BOOST_TEST(second.at.server.origin() == "http://10.0.0.7:8000");
  BOOST_REQUIRE(second.keys.size() == 2u);
  BOOST_TEST(second.keys[0].reveal() == "a secret of the environment");
  const auto endpoints = app::webhook_endpoints_of(c);
  BOOST_REQUIRE(endpoints.size() == 2u);
  BOOST_TEST(endpoints[0].wants(webhook_type::overwritten));
  BOOST_TEST(endpoints[1].wants(webhook_type::expired));
  BOOST_TEST(!endpoints[1].wants(webhook_type::failed));
  const auto options = made.options();
  for (int i = 0; i < 100; ++i) {
    const auto chance = options.random();
    BOOST_TEST((chance >= 0 && chance < 1));
  }
  BOOST_TEST((options.clock() > millis_clock{}));
}

BOOST_AUTO_TEST_CASE(endpoints_come_from_the_environment) {
  const char* const environment[] = {
      "POSTERN_WEBHOOKS=[{ url = \"https://a.example.com\", secret = { env = \"POSTERN_HOOK_SECRET\" } }]",
      "POSTERN_HOOK_SECRET=sixteen bytes of it", nullptr};
  const auto c = app::parse_config(secrets + at("https://from.file.example.com"), environment);
  BOOST_REQUIRE(c.webhooks.size() == 1u);
  BOOST_TEST(c.webhooks[0].url == "https://a.example.com");
  BOOST_TEST(c.webhooks[0].secrets[0].reveal() == "sixteen bytes of it");
}

BOOST_AUTO_TEST_CASE(urls_are_judged_by_scheme_and_address) {
  BOOST_TEST(error_text(at("https://app.example.com")) == "");
  BOOST_TEST(error_text(at("https://8.8.8.8/hooks")) == "");
  BOOST_TEST(error_text(at("http://app.internal/hooks/@me", "allow_private = true\n")) == "");
  BOOST_TEST(error_text(at("https://[fd12::1]:8443/", "allow_private = true\n")) == "");
  BOOST_TEST(error_mentions(at("http://app.example.com"), {"number 1", "url", "https://", "allow_private"}));
  BOOST_TEST(error_mentions(at("ftp://app.example.com"), {"is not an http or https URL", "https://"}));
  BOOST_TEST(error_mentions(at("/hooks"), {"is not an http or https URL", "https://"}));
  BOOST_TEST(error_mentions(at("https://me:pass@app.example.com"), {"password"}));
  BOOST_TEST(error_mentions(at("https://me@app.example.com/"), {"user name"}));
  BOOST_TEST(error_mentions(at("https://app.example.com/#x"), {"fragment"}));
  BOOST_TEST(error_mentions(at("https://127.0.0.1/"), {"127.0.0.1 is loopback", "allow_private = true allows it"}));
  BOOST_TEST(error_mentions(at("https://[::ffff:10.0.0.1]/"), {"private", "allow_private"}));
  for (const char* url : {"https://169.254.169.254/", "https://[fd00:ec2::254]/", "https://[::ffff:169.254.170.2]/"})
    for (const char* more : {"", "allow_private = true\n"})
      BOOST_TEST(error_mentions(at(url, more), {"a metadata service; webhooks are never sent there"}));
}

BOOST_AUTO_TEST_CASE(an_error_names_the_webhook_by_number) {
  const auto fine = at("https://app.example.com");
  BOOST_TEST(error_mentions(fine + hook(good), {"webhooks, number 2, url: is missing"}));
  BOOST_TEST(error_mentions(fine + fine, {"number 2, url: is the same as that of number 1"}));
  BOOST_TEST(error_mentions(hook("url = \"https://a.example.com\""), {"number 1, secret: is missing", "openssl rand"}));
  BOOST_TEST(error_mentions(hook("url = \"https://a.example.com\"\nsecret = \"short\""), {"secret", "16 bytes"}));
  BOOST_TEST(
      error_mentions(hook("url = \"https://a.example.com\"\nsecret = \"whsec_no!base64\""), {"secret", "base64"}));
  BOOST_TEST(error_mentions(hook("url = \"https://a.example.com\"\nsecret = { env = \"ABSENT\" }"),
                            {"webhooks (line 3): number 1, secret: the environment has no ABSENT"}));
  BOOST_TEST(error_mentions(at("https://a.example.com", "types = [\"upload.complete\"]\n"),
                            {"types", "did you mean upload.completed?"}));
  BOOST_TEST(error_mentions(at("https://a.example.com", "types = [\"everything\"]\n"),
                            {"types", "upload.expired, upload.overwritten, upload.removed"}));
  BOOST_TEST(error_mentions(at("https://a.example.com", "types = []\n"), {"types: is empty"}));
  BOOST_TEST(
      error_mentions(at("https://a.example.com", "allow_private = \"yes\"\n"), {"allow_private", "true or false"}));
  BOOST_TEST(error_mentions(at("https://a.example.com", "ca_flie = \"x\"\n"),
                            {"ca_flie: unknown setting", "did you mean ca_file?"}));
  BOOST_TEST(error_mentions(at("https://a.example.com", "ca_file = \"/nowhere.pem\"\n"), {"ca_file", "/nowhere.pem"}));
  BOOST_TEST(
      error_mentions(at("http://a.internal", "allow_private = true\nca_file = \"x\"\n"), {"the URL is not https"}));
  BOOST_TEST(error_mentions("[webhooks]\nurl = \"x\"\n", {"webhooks", "[[webhooks]]"}));
  // A secret is never quoted.
  BOOST_TEST(error_text(hook("url = \"https://a.example.com\"\nsecret = \"whsec_no!base64\"")).find("no!base64") ==
             std::string::npos);
}
