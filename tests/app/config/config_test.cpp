#include <postern/app/config/config.hpp>
#include <postern/app/config/settings.hpp>

#include <boost/test/unit_test.hpp>

using namespace postern;
using app::config_error;

namespace {

const char* const no_environment[] = {nullptr};
const std::string secrets = "[server]\nsecrets = [\"sixteen bytes or more\"]\n";

std::string complaint(const std::string& toml, const char* const* environment = no_environment) {
  try {
    app::parse_config(secrets + toml, environment);
  } catch (const config_error& e) {
    return e.what();
  }
  return "";
}

bool complains(const std::string& toml, std::initializer_list<const char*> of) {
  const auto text = complaint(toml);
  for (const char* word : of)
    if (text.find(word) == text.npos) {
      BOOST_TEST_MESSAGE(toml << " gave: " << text << " without: " << word);
      return false;
    }
  return true;
}

} // namespace

BOOST_AUTO_TEST_CASE(sizes_and_times) {
  using namespace std::chrono_literals;
  BOOST_TEST(app::parse_size("0") == 0u);
  BOOST_TEST(app::parse_size("5GiB") == 5368709120u);
  BOOST_TEST(app::parse_size("20KB") == 20000u);
  BOOST_TEST(app::parse_size("64KiB") == 65536u);
  BOOST_TEST((app::parse_time("15m") == 15min));
  BOOST_TEST((app::parse_time("500ms") == 500ms));
  BOOST_TEST((app::parse_time("24h") == 24h));
  BOOST_TEST((app::parse_time("30") == 30s));
  for (const char* wrong : {"", "x", "5 parsecs", "-1", "99999999999GiB", "1.5GiB"})
    BOOST_CHECK_THROW(app::parse_size(wrong), config_error);
  for (const char* wrong : {"", "m", "5 fortnights", "-1s"}) BOOST_CHECK_THROW(app::parse_time(wrong), config_error);
}

BOOST_AUTO_TEST_CASE(every_section_is_read) {
  const auto c = app::parse_config(secrets + R"(
listen = ["127.0.0.1:1", "[::1]:2"]
public_url = "https://u.example.com/"
allowed_origins = ["https://app.example.com"]
[limits]
json_body = "1MiB"
body_silence = "5s"
sign_rate = 7
[auth]
api_keys = [{ name = "app", sha256 = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855" }]
[store]
bucket = "media"
[profiles.images]
content_types = ["image/*"]
max_size = "10MiB"
tags = { team = "web" }
return_to = ["https://app.example.com/done", "https://app.example.com/albums/*"]
)",
                                   no_environment);
  BOOST_TEST(c.server.listen.size() == 2u);
  BOOST_TEST(c.server.public_url == "https://u.example.com");
  BOOST_TEST(c.limits.json_body == 1048576u);
  BOOST_TEST(c.limits.sign_rate == 7u);
  BOOST_TEST(c.auth.api_keys.front().sha256.starts_with("e3b0"));
  BOOST_TEST(!c.auth.anonymous);
  const auto& p = c.profiles.at("images");
  BOOST_TEST(p.bucket == "media");
  BOOST_TEST(p.max_size == 10485760u);
  BOOST_TEST(p.tags.at("team") == "web");
  BOOST_TEST(c.profiles.contains("default"));
}

BOOST_AUTO_TEST_CASE(the_environment_wins) {
  const char* const environment[] = {"POSTERN_STORE__BUCKET=from-env",
                                     "POSTERN_LIMITS__SIGN_RATE=3",
                                     "POSTERN_AUTH__ANONYMOUS=true",
                                     "POSTERN_SERVER__LISTEN=127.0.0.1:99",
                                     "POSTERN_PROFILES__DEFAULT__MAX_SIZE=1MiB",
                                     "PATH=/bin",
                                     nullptr};
  const auto c = app::parse_config(secrets + "[store]\nbucket = \"from-file\"\n", environment);
  BOOST_TEST(c.store.bucket == "from-env");
  BOOST_TEST(c.limits.sign_rate == 3u);
  BOOST_TEST(c.auth.anonymous);
  BOOST_TEST(c.server.listen.front() == "127.0.0.1:99");
  BOOST_TEST(c.profiles.at("default").max_size == 1048576u);
  const char* const typo[] = {"POSTERN_STORE__BUKET=x", nullptr};
  BOOST_TEST(complaint("", typo).find("did you mean store.bucket") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(secrets_come_from_elsewhere) {
  const char* const environment[] = {"S3_SECRET=from the environment", nullptr};
  const auto c = app::parse_config(
      secrets + "[store.credentials]\naccess_key = \"AK\"\nsecret_key = { env = \"S3_SECRET\" }\n", environment);
  BOOST_TEST(c.store.secret_key.reveal() == "from the environment");
  BOOST_TEST(complains("[store.credentials]\naccess_key = \"AK\"\nsecret_key = { env = \"ABSENT\" }\n",
                       {"store.credentials.secret_key", "ABSENT"}));
  BOOST_TEST(complains("[store.credentials]\naccess_key = \"AK\"\nsecret_key = { file = \"/nowhere/at/all\" }\n",
                       {"/nowhere/at/all"}));
  BOOST_TEST(complains("[store.credentials]\naccess_key = \"AK\"\n", {"store.credentials", "secret_key"}));
}

BOOST_AUTO_TEST_CASE(events) {
  const char* const environment[] = {"POSTERN_EVENTS_TOKEN=sixteen bytes or more", nullptr};
  const auto c = app::parse_config(secrets + R"([events]
token = { env = "POSTERN_EVENTS_TOKEN" }
sns_topics = ["arn:aws:sns:eu-west-1:123456789012:uploads"]
ca_file = "ca.pem"
sns_connect_to = "127.0.0.1:8443"
)",
                                   environment);
  BOOST_TEST(c.events.token.reveal() == "sixteen bytes or more");
  BOOST_TEST(c.events.sns_topics.front().ends_with(":uploads"));
  BOOST_TEST(c.events.ca_file == "ca.pem");
  BOOST_TEST(c.events.sns_connect_to == "127.0.0.1:8443");
  BOOST_TEST(app::parse_config(secrets, no_environment).events.token.empty());
  BOOST_TEST(complains("[events]\ntoken = \"short\"", {"events.token", "16 bytes"}));
  BOOST_TEST(complains("[events]\nsns_topics = [\"uploads\"]", {"events.sns_topics", "arn:aws:sns:"}));
  BOOST_TEST(complains("[events]\nsns_topics = [\"arn:aws:sns:eu-west-1:123456789012:*\"]", {"events.sns_topics"}));
  for (const char* wrong : {"localhost", ":1", "a:", "a:b", "a:65536", "a:123456"})
    BOOST_TEST(complains(std::string("[events]\nsns_connect_to = \"") + wrong + "\"", {"events.sns_connect_to"}),
               wrong);
  BOOST_TEST(complains("[events]\ntokn = \"x\"", {"did you mean events.token"}));
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_said_with_the_setting) {
  BOOST_TEST(complains("public_ulr = \"x\"", {"server.public_ulr", "line 3", "server.public_url"}));
  BOOST_TEST(complains("public_url = 5", {"server.public_url", "string"}));
  BOOST_TEST(complains("public_url = \"ftp://x\"", {"server.public_url", "https://"}));
  BOOST_TEST(complains("threads = -1", {"server.threads"}));
  BOOST_TEST(complains("allowed_origins = [\"https://app.example.com/\"]", {"exact origin"}));
  BOOST_TEST(complains("allowed_origins = [\"*\"]", {"exact origin"}));
  BOOST_TEST(complains("tls = { certificate = \"a.pem\" }", {"server.tls"}));
  BOOST_TEST(complains("[limits]\njson_body = \"5 parsecs\"", {"limits.json_body", "parsecs"}));
  BOOST_TEST(complains("[auth]\napi_keys = [{ name = \"a\", sha256 = \"abc\" }]", {"sha256sum"}));
  BOOST_TEST(complains("[store]\ntype = \"tape\"", {"store.type"}));
  BOOST_TEST(complains("[profiles.a]\nkey = \"x/${filename}\"", {"profiles.a.key", "${id}", "overwrite"}));
  BOOST_TEST(complains("[profiles.a]\nkey = \"x/${id}/${nmae}\"", {"profiles.a.key"}));
  BOOST_TEST(complains("[profiles.a]\nmax_size = \"6000GiB\"", {"profiles.a.max_size", "5TiB"}));
  BOOST_TEST(complains("[profiles.a]\nmin_size = \"2\"\nmax_size = \"1\"", {"profiles.a.min_size"}));
  BOOST_TEST(complains("[profiles.a]\nbucket = \"other\"", {"profiles.a.bucket", "other_buckets"}));
  BOOST_TEST(complains("[profiles.a]\nexpires = \"8d\"", {"profiles.a.expires"}));
  BOOST_TEST(complains("[profiles.a]\nreturn_to = [\"https://app.example.com*\"]", {"return_to", "other hosts"}));
  BOOST_TEST(complains("[log]\nlevel = \"loud\"", {"log.level"}));
  BOOST_TEST(complains("[server", {"line"}));
  BOOST_TEST(complains("[profiles.a]\nexpires = \"2d\"\n[sweep]\nclaim_lifetime = \"1d\"", {"sweep.claim_lifetime"}));
  BOOST_TEST(complains("[ledger]\nretention = \"1d\"", {"ledger.retention", "claim_lifetime", "0 keeps all"}));
  BOOST_TEST(complaint("[ledger]\nretention = \"0\"") == complaint(""));
}
