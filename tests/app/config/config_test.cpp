#include "support/temporary_folder.hpp"
#include <postern/app/config/config.hpp>
#include <postern/app/config/print_config.hpp>
#include <postern/app/config/secret_file.hpp>

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>
#include <vector>

using namespace postern;
using app::config_error;

namespace {

const char* const no_environment[] = {nullptr};
const std::string secrets = "[server]\nsecrets = [\"sixteen bytes or more\"]\n";

std::string error_text(const std::string& toml, const char* const* environment = no_environment) {
  try {
    app::parse_config(secrets + toml, environment);
  } catch (const config_error& e) {
    return e.what();
  }
  return "";
}

bool error_mentions(const std::string& toml, std::initializer_list<const char*> words) {
  const auto text = error_text(toml);
  for (const char* word : words)
    if (text.find(word) == text.npos) {
      BOOST_TEST_MESSAGE(toml << " gave: " << text << " without: " << word);
      return false;
    }
  return true;
}

} // namespace

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

BOOST_AUTO_TEST_CASE(the_environment_overrides_the_file) {
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
  BOOST_TEST(error_text("", typo).find("did you mean store.bucket") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_error_of_the_environment_names_the_variable_and_not_the_file) {
  const auto file = std::filesystem::temp_directory_path() / ("postern-config-test." + std::to_string(::getpid()));
  std::ofstream(file) << secrets;
  const auto error = [&](const char* variable) -> std::string {
    const char* const environment[] = {variable, nullptr};
    try {
      app::load_config(file, environment);
    } catch (const config_error& e) {
      return e.what();
    }
    return "";
  };
  BOOST_TEST(error("POSTERN_SERVER__LISTN=x").starts_with("POSTERN_SERVER__LISTN: unknown setting; did you mean"));
  BOOST_TEST(error("POSTERN_SERVER__DEMO=perhaps").starts_with("POSTERN_SERVER__DEMO: \"perhaps\" must be true"));
  BOOST_TEST(error("POSTERN_STORE__TYPE=tape").starts_with("POSTERN_STORE__TYPE: \"tape\" is neither"));
  BOOST_TEST(error("POSTERN_STORE__BUCKET=b") == "");
  BOOST_TEST(error("POSTERN_SERVER__LISTEN=[::1]:8080") == "");
  BOOST_TEST(error("POSTERN_SERVER__ALLOWED_ORIGINS=[https://x]")
                 .starts_with("POSTERN_SERVER__ALLOWED_ORIGINS: the text begins like a TOML list but is none (see "
                              "column 2); write it like [\"first\", \"second\"]. Read as a string: \"[https://x]\""));
  const auto webhooks = error("POSTERN_WEBHOOKS=[{ url = https://x, secret = \"whsec_abc\" }]");
  BOOST_TEST(webhooks.starts_with("POSTERN_WEBHOOKS: the text begins like a TOML list but is none (see column 10)"),
             webhooks);
  BOOST_TEST(webhooks.find("whsec_abc") == webhooks.npos);
  BOOST_TEST(error("POSTERN_SERVER__SECRETS=[geheim").find("geheim") == std::string::npos);
  std::filesystem::remove(file);
  BOOST_TEST(error("A=b").ends_with("cannot be read: No such file or directory; name a file that this user may read"));
}

// Kubernetes gives every container such variables for a Service named postern.
BOOST_AUTO_TEST_CASE(only_a_variable_with_two_underscores_is_a_setting) {
  const char* const environment[] = {
      "POSTERN_PORT=tcp://10.0.0.7:8080",
      "POSTERN_PORT_8080_TCP_ADDR=10.0.0.7",
      "POSTERN_SERVICE_HOST=10.0.0.7",
      "POSTERN_STORE__BUCKET=media",
      "POSTERN_EVENTS_TOKEN=sixteen bytes or more",
      R"(POSTERN_WEBHOOKS=[{ url = "https://a.example.com", secret = { env = "POSTERN_WEBHOOK_SECRET" } }])",
      "POSTERN_WEBHOOK_SECRET=sixteen bytes or more",
      nullptr};
  const auto c = app::parse_config(secrets + "[events]\ntoken = { env = \"POSTERN_EVENTS_TOKEN\" }\n", environment);
  BOOST_TEST(c.store.bucket == "media");
  BOOST_TEST(c.webhooks.size() == 1u);
  const std::vector<std::string> others{"POSTERN_PORT", "POSTERN_PORT_8080_TCP_ADDR", "POSTERN_SERVICE_HOST"};
  BOOST_TEST(c.other_variables == others, boost::test_tools::per_element());
  const char* const typo[] = {"POSTERN_SERVICE__HOST=10.0.0.7", nullptr};
  BOOST_TEST(error_text("", typo).starts_with("POSTERN_SERVICE__HOST: unknown setting"));
}

BOOST_AUTO_TEST_CASE(an_error_found_by_a_check_names_the_variables_that_gave_the_values) {
  const char* const half[] = {"POSTERN_STORE__CREDENTIALS__ACCESS_KEY=AK", nullptr};
  BOOST_TEST(error_text("", half).ends_with("set both, or neither (the environment has "
                                            "POSTERN_STORE__CREDENTIALS__ACCESS_KEY)"));
  const char* const environment[] = {"POSTERN_LEDGER__URL=sqlite:/proc/nowhere/x.db", nullptr};
  const auto c = app::parse_config(secrets, environment);
  BOOST_TEST(app::with_variable(c, "ledger.url: the database cannot be used") ==
             "POSTERN_LEDGER__URL: the database cannot be used");
  BOOST_TEST(app::with_variable(c, "store.ca_file: cannot be used") == "store.ca_file: cannot be used");
  BOOST_TEST(app::with_variable(c, "no setting") == "no setting");
}

BOOST_AUTO_TEST_CASE(a_secret_comes_from_the_environment_or_a_file) {
  const char* const environment[] = {"S3_SECRET=from the environment", nullptr};
  const auto c = app::parse_config(
      secrets + "[store.credentials]\naccess_key = \"AK\"\nsecret_key = { env = \"S3_SECRET\" }\n", environment);
  BOOST_TEST(c.store.secret_key.reveal() == "from the environment");
  BOOST_TEST(error_mentions("[store.credentials]\naccess_key = \"AK\"\nsecret_key = { env = \"ABSENT\" }\n",
                            {"store.credentials.secret_key", "ABSENT"}));
  BOOST_TEST(error_mentions("[store.credentials]\naccess_key = \"AK\"\nsecret_key = { file = \"/nowhere/at/all\" }\n",
                            {"/nowhere/at/all"}));
  BOOST_TEST(error_mentions("[store.credentials]\naccess_key = \"AK\"\n", {"store.credentials", "secret_key"}));
}

BOOST_AUTO_TEST_CASE(senders_of_events_are_configured_and_checked) {
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
  BOOST_TEST(error_mentions("[events]\ntoken = \"short\"", {"events.token", "16 bytes", "openssl rand"}));
  BOOST_TEST(error_mentions("[events]\nsns_topics = [\"uploads\"]", {"events.sns_topics", "arn:aws:sns:"}));
  BOOST_TEST(
      error_mentions("[events]\nsns_topics = [\"arn:aws:sns:eu-west-1:123456789012:*\"]", {"events.sns_topics"}));
  for (const char* wrong : {"localhost", ":1", "a:", "a:b", "a:65536", "a:123456"})
    BOOST_TEST(error_mentions(std::string("[events]\nsns_connect_to = \"") + wrong + "\"", {"events.sns_connect_to"}),
               wrong);
  BOOST_TEST(error_mentions("[events]\ntokn = \"x\"", {"did you mean events.token"}));
}

BOOST_AUTO_TEST_CASE(an_error_names_the_setting_the_value_and_the_rule) {
  BOOST_TEST(error_mentions("public_ulr = \"x\"", {"server.public_ulr", "line 3", "server.public_url"}));
  BOOST_TEST(error_mentions("public_url = 5", {"server.public_url", "5 is not a string"}));
  BOOST_TEST(error_mentions("public_url = \"ftp://x\"",
                            {"server.public_url", "\"ftp://x\"", "http or https URL", "https://"}));
  BOOST_TEST(error_mentions("public_url = \"\"", {"server.public_url: is empty", "http or https URL", "https://"}));
  BOOST_TEST(error_mentions("threads = -1", {"server.threads", "-1", "from 0 to 1024"}));
  BOOST_TEST(error_mentions("allowed_origins = [\"https://app.example.com/\"]", {"exact origin"}));
  BOOST_TEST(error_mentions("allowed_origins = [\"*\"]", {"exact origin"}));
  BOOST_TEST(
      error_mentions("trusted_proxies = [\"proxy.example.com\"]", {"server.trusted_proxies", "\"proxy.example.com\""}));
  BOOST_TEST(error_mentions("listen = \"nonsense\"", {"server.listen", "\"nonsense\"", "127.0.0.1:8080"}));
  BOOST_TEST(error_mentions("admin_listen = \"nonsense\"", {"server.admin_listen", "\"nonsense\""}));
  BOOST_TEST(error_mentions("demo = \"yes\"", {"server.demo", "\"yes\"", "true or false"}));
  BOOST_TEST(error_mentions("tls = { certificate = \"a.pem\" }", {"server.tls"}));
  BOOST_TEST(error_mentions("[limits]\njson_body = \"5 parsecs\"", {"limits.json_body", "parsecs", "64KiB"}));
  BOOST_TEST(error_mentions("[limits]\nconnections = \"20KB\"", {"limits.connections", "\"20KB\"", "whole number"}));
  BOOST_TEST(
      error_mentions("[limits]\nconnections = -5", {"limits.connections", "-5 must be a whole number, 0 or more"}));
  BOOST_TEST(error_mentions("[ledger]\nurl = \"sqlite::memory:\"", {"ledger.url", "lost with the process"}));
  BOOST_TEST(error_mentions("[ledger]\nurl = \"sqlite://p.db\"", {"ledger.url", "sqlite:var/postern.db"}));
  BOOST_TEST(error_mentions("[limits]\nrequest_header = 8191", {"limits.request_header: 8191", "minimum is 8KiB"}));
  BOOST_TEST(error_mentions("[limits]\nbuffers = \"7MiB\"", {"limits.buffers: 7MiB", "minimum is 8MiB", "0 switches"}));
  BOOST_TEST(error_text("[limits]\nrequest_header = 0\nbuffers = 0") == "");
  BOOST_TEST(error_text("[limits]\nrequest_header = \"8KiB\"\nbuffers = \"8MiB\"") == "");
  BOOST_TEST(error_mentions("[limits]\nbody_silence = \"5 fortnights\"", {"limits.body_silence", "fortnights", "15m"}));
  BOOST_TEST(error_mentions("[auth]\napi_keys = [{ name = \"a\", sha256 = \"abc\" }]",
                            {"auth.api_keys", "\"a\"", "sha256sum"}));
  BOOST_TEST(error_mentions("[auth]\napi_keys = [{ nme = \"a\" }]", {"number 1, nme", "did you mean name?"}));
  BOOST_TEST(error_mentions("[store]\ntype = \"tape\"", {"store.type", "\"tape\"", "\"s3\""}));
  for (const char* time : {"0s", "999ms", "61m"})
    BOOST_TEST(error_mentions(std::string("[store]\ndeadline = \"") + time + "\"", {"store.deadline", "1s to 1h"}));
  BOOST_TEST(error_text("[store]\ndeadline = \"1s\"") == "");
  BOOST_TEST(error_mentions("[store]\nregion = \"eu west\"", {"store.region", "\"eu west\"", "eu-west-1"}));
  for (const char* setting : {"bucket", "other_buckets"})
    BOOST_TEST(error_mentions(std::string("[store]\n") + setting + " = \"a b\"",
                              {setting, "\"a b\" cannot be the name of a bucket"}));
  BOOST_TEST(error_mentions("[store]\nother_buckets = \"*\"\n[profiles.a]\nbucket = \"a/b\"",
                            {"profiles.a.bucket", "\"a/b\" cannot be the name of a bucket"}));
  BOOST_TEST(error_mentions("[ledger]\nurl = \"mysql://u:geheim@db/d?password=geheim\"",
                            {"ledger.url: \"mysql:…@db/d\"", "sqlite:", "postgresql://"}));
  for (const char* url : {"mysql://u:geheim@db/d?password=geheim", "mysql://u:geheim?geheim@db/d", "u:geheim@db",
                          "mysql://db/d?password=a@geheim", "host=db password=geheim"})
    BOOST_TEST(error_text(std::string("[ledger]\nurl = \"") + url + "\"").find("geheim") == std::string::npos, url);
  BOOST_TEST(error_mentions("[profiles.a]\nkey = \"x/${filename}\"", {"profiles.a.key", "${id}", "overwrite"}));
  BOOST_TEST(error_mentions(
      "[profiles.a]\nkey = \"x/${id}/${nmae}\"",
      {"profiles.a.key", "\"x/${id}/${nmae}\": ${nmae}",
       "${id}, ${filename}, ${user}, ${profile}, ${date}, and ${meta.NAME} for each name in key_metadata"}));
  BOOST_TEST(error_mentions("[profiles.a]\ncontent_types = [\"*/*\", \"png\"]",
                            {"profiles.a.content_types: \"png\"", "image/png"}));
  BOOST_TEST(
      error_mentions("[profiles.a]\ndownload = \"show\"", {"profiles.a.download", "\"show\"", "attachment, inline"}));
  BOOST_TEST(error_mentions("[profiles.a]\ninline_types = [\"png\"]", {"profiles.a.inline_types", "image/png"}));
  BOOST_TEST(error_mentions("[profiles.a]\ninline_types = [\"image/svg+xml\"]",
                            {"profiles.a.inline_types", "image/svg+xml", "never shown"}));
  BOOST_TEST(error_mentions("[profiles.a]\nacl = \"public\"", {"profiles.a.acl: \"public\"", "public-read,"}));
  BOOST_TEST(error_text("[profiles.a]\nacl = \"public-read\"") == "");
  BOOST_TEST(error_mentions("[profiles.a]\nmax_size = \"6000GiB\"", {"profiles.a.max_size", "5TiB"}));
  BOOST_TEST(error_mentions("[profiles.a]\nmin_size = \"2\"\nmax_size = \"1\"",
                            {"profiles.a.min_size", "2 is larger than max_size, 1"}));
  BOOST_TEST(error_mentions("[profiles.a]\nbucket = \"other\"", {"profiles.a.bucket", "other_buckets"}));
  BOOST_TEST(error_mentions("[profiles.a]\nexpires = \"8d\"", {"profiles.a.expires", "8d", "1s to 7d"}));
  BOOST_TEST(error_mentions("[profiles.a]\nreturn_to = [\"https://app.example.com*\"]", {"return_to", "other hosts"}));
  BOOST_TEST(error_mentions("[log]\nlevel = \"loud\"", {"log.level", "\"loud\"", "debug, info, warning, error"}));
  BOOST_TEST(error_mentions("[server", {"line"}));
  BOOST_TEST(
      error_mentions("[profiles.a]\nexpires = \"2d\"\n[sweep]\nclaim_lifetime = \"1d\"", {"sweep.claim_lifetime"}));
  BOOST_TEST(error_mentions("[ledger]\nretention = \"1d\"", {"ledger.retention", "claim_lifetime", "0 keeps all"}));
  BOOST_TEST(error_text("[ledger]\nretention = \"0\"") == error_text(""));
}

BOOST_AUTO_TEST_CASE(a_profile_says_what_is_verified) {
  const auto c = app::parse_config(R"(
[profiles.a]
verify = ["type", "size", "checksum"]
on_mismatch = "keep"
type_equivalents = { "Text/CSV" = ["application/json", "image/*"], "image/png" = "image/jpeg" }
)",
                                   no_environment);
  const auto& p = c.profiles.at("a");
  BOOST_TEST((p.checks(profile_check::type) && p.checks(profile_check::checksum)));
  BOOST_TEST((p.on_mismatch == mismatch_action::keep));
  BOOST_TEST((p.type_equivalents ==
              type_equivalents{{"text/csv", {"application/json", "image/*"}}, {"image/png", {"image/jpeg"}}}));
  BOOST_TEST(!c.profiles.at("default").checks(profile_check::type));
  BOOST_TEST((c.profiles.at("default").on_mismatch == mismatch_action::remove));

  const std::string looks = "[profiles.a]\nverify = [\"type\"]\n";
  BOOST_TEST(error_mentions("[profiles.a]\nverify = [\"bytes\"]",
                            {"profiles.a.verify", "\"bytes\"", "size, content_type, type, checksum"}));
  BOOST_TEST(error_mentions(looks + "on_mismatch = \"quarantine\"",
                            {"profiles.a.on_mismatch", "\"quarantine\"", "not available", "\"delete\" or \"keep\""}));
  BOOST_TEST(error_mentions(looks + "on_mismatch = \"burn\"", {"profiles.a.on_mismatch", "delete, keep"}));
  BOOST_TEST(error_mentions(looks + "type_equivalents = [\"text/csv\"]", {"profiles.a.type_equivalents", "table"}));
  for (const char* wrong :
       {"{ csv = [\"text/plain\"] }", "{ \"text/*\" = [\"text/plain\"] }", "{ \"text/csv; a=b\" = [\"text/plain\"] }",
        "{ \"text/csv\" = [\"plain\"] }", "{ \"text/csv\" = [\"text/plain; a=b\"] }"})
    BOOST_TEST(error_mentions(looks + "type_equivalents = " + wrong,
                              {"profiles.a.type_equivalents", "is not a media type without parameters"}));
  BOOST_TEST(error_mentions("[profiles.a]\ntype_equivalents = { \"text/csv\" = [\"text/plain\"] }",
                            {"profiles.a.type_equivalents", "profiles.a.verify must have \"type\""}));
}

BOOST_AUTO_TEST_CASE(an_api_key_is_unique_and_names_profiles_that_exist) {
  const auto key = [](const std::string& name, char digit, const std::string& profile = "*") {
    return "{ name = \"" + name + "\", sha256 = \"" + std::string(64, digit) + "\", profiles = [\"" + profile + "\"] }";
  };
  const auto keys = [](const std::string& items) { return "[auth]\napi_keys = [" + items + "]\n[profiles.images]\n"; };
  BOOST_TEST(error_text(keys(key("a", 'A') + ", " + key("b", 'b', "images"))) == "");
  BOOST_TEST(
      error_mentions(keys(key("a", 'a') + ", " + key("a", 'b')), {"auth.api_keys", "two keys have the name \"a\""}));
  BOOST_TEST(error_mentions(keys(key("a", 'a') + ", " + key("b", 'A')),
                            {"auth.api_keys", "\"a\" and \"b\" have the same sha256"}));
  BOOST_TEST(
      error_mentions(keys(key("a", 'a', "image")), {"auth.api_keys", "no profile \"image\"", "did you mean images?"}));
}

BOOST_AUTO_TEST_CASE(a_secret_file_is_named_with_its_setting_and_a_remedy) {
  const auto file = std::filesystem::temp_directory_path() / ("postern-secret-test." + std::to_string(::getpid()));
  const auto error = [&](const std::string& path) -> std::string {
    try {
      app::parse_config("[server]\nsecrets = [{ file = \"" + path + "\" }]\n", no_environment);
    } catch (const config_error& e) {
      return e.what();
    }
    return "";
  };
  std::ofstream(file) << "short\n";
  const auto name = "server.secrets (line 2): the secret file " + file.string();
  BOOST_TEST(error(file.string()) ==
             name + " has fewer than 16 bytes; write one to it with: openssl rand -hex 32 > " + file.string());
  std::ofstream(file) << "\n";
  BOOST_TEST(error(file.string()).starts_with(name + " is empty; write one to it with"));
  std::filesystem::remove(file);
  // A secret that was made silently would differ from that of the other nodes.
  BOOST_TEST(error(file.string()) == name + " does not exist; make it once with: (umask 077; openssl rand -hex 32 > " +
                                         file.string() + "), and give the same file to every node");
  BOOST_TEST(!std::filesystem::exists(file));
  const auto folder = error("/tmp");
  BOOST_TEST(folder.find("the secret file /tmp cannot be read: Is a directory") != folder.npos, folder);
}

// In an empty working directory.
struct empty_folder {
  const test::temporary_folder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  empty_folder() { std::filesystem::current_path(folder.path()); }
  empty_folder(const empty_folder&) = delete;
  empty_folder& operator=(const empty_folder&) = delete;
  ~empty_folder() { std::filesystem::current_path(before); }
};

BOOST_FIXTURE_TEST_CASE(only_the_default_secret_file_may_be_missing_and_reading_writes_nothing, empty_folder) {
  for (const char* toml : {"", "[server]\nsecrets = [{ file = \"var/secret\" }]\n"}) {
    const auto c = app::parse_config(toml, no_environment);
    BOOST_TEST(c.server.lacks_secret_file);
    BOOST_TEST(c.server.secrets.size() == 1u);
    BOOST_TEST(c.server.secrets.front().reveal().size() == 64u); // random, so that nothing signs with an empty one
    BOOST_TEST(std::filesystem::is_empty("."));
  }
  app::make_default_secret_file();
  const auto made = app::read_server_secret("var/secret").reveal();
  app::make_default_secret_file(); // another process was faster
  const auto c = app::parse_config("", no_environment);
  BOOST_TEST(!c.server.lacks_secret_file);
  BOOST_TEST(c.server.secrets.front().reveal() == made);
  for (const char* toml : {"[server]\nsecrets = \"\"\n", "[server]\nsecrets = [\"\"]\n"})
    BOOST_CHECK_EXCEPTION(app::parse_config(toml, no_environment), config_error, [](const config_error& e) {
      return std::string_view(e.what()) ==
             "server.secrets (line 2): a secret is empty; make one with: openssl rand -hex 32";
    });
}

BOOST_AUTO_TEST_CASE(a_secret_of_the_wrong_type_is_not_quoted) {
  const auto text = error_text("[store.credentials]\naccess_key = \"AK\"\nsecret_key = 1234567\n");
  BOOST_TEST(text.find("store.credentials.secret_key") != text.npos);
  BOOST_TEST(text.find("1234567") == text.npos);
}

// --- printing ---------------------------------------------------------------------------------------

namespace {

// Two stores, and what follows.
std::string with_archive(const std::string& more_of_archive, const std::string& more = "") {
  return "[store]\nbucket = \"media\"\n[[stores]]\nname = \"archive\"\nbucket = \"tape\"\npath = \"tapes\"\n" +
         more_of_archive + more;
}

} // namespace

BOOST_AUTO_TEST_CASE(further_stores_are_read) {
  const auto c = app::parse_config(secrets + with_archive(R"(
type = "s3"
other_buckets = ["film"]
deadline = "20s"
[stores.credentials]
access_key = "AKIA"
secret_key = "shhh"
[[stores]]
name = "disk"
bucket = "paper"
path = "papers"
credentials = { profile = "x" }
[profiles.old]
store = "archive"
[profiles.film]
store = "archive"
bucket = "film"
)"),
                                   no_environment);
  BOOST_TEST(c.stores.size() == 2u);
  const auto& archive = c.stores.front();
  BOOST_TEST(archive.access_key == "AKIA");
  BOOST_TEST((archive.deadline == std::chrono::seconds(20)));
  BOOST_TEST(c.stores.back().profile == "x");
  BOOST_TEST(c.profiles.at("old").bucket == "tape");
  BOOST_TEST(c.profiles.at("film").bucket == "film");
  BOOST_TEST(c.profiles.at("default").bucket == "media");
  BOOST_TEST(c.find_store_of_bucket("film") == &archive);
  BOOST_TEST(c.find_store_of_bucket("media") == &c.store);
  BOOST_TEST(c.find_store_of_bucket("other") == nullptr);
  BOOST_TEST(app::to_toml(c).find("shhh") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(any_bucket_is_in_the_store_that_does_not_list_its_buckets) {
  const auto c = app::parse_config(secrets + "[store]\nbucket = \"media\"\nother_buckets = \"*\"\n[[stores]]\nname = "
                                             "\"archive\"\nbucket = \"tape\"\npath = \"tapes\"\n",
                                   no_environment);
  BOOST_TEST(c.find_store_of_bucket("tape") == &c.stores.front());
  BOOST_TEST(c.find_store_of_bucket("whatever") == &c.store);
}

BOOST_AUTO_TEST_CASE(a_wrong_store_is_named) {
  BOOST_TEST(error_text(with_archive("")) == "");
  BOOST_TEST(error_mentions("[[stores]]\nbucket = \"tape\"", {"stores: a store has no name"}));
  BOOST_TEST(error_mentions("[[stores]]\nname = \"a b\"", {"stores: \"a b\" is not the name of a store"}));
  BOOST_TEST(error_mentions("[[stores]]\nname = \"default\"\nbucket = \"x\"", {"stores: \"default\"", "[store]"}));
  BOOST_TEST(error_mentions(with_archive("", "[[stores]]\nname = \"archive\"\nbucket = \"x\""),
                            {"stores: two stores have the name \"archive\""}));
  BOOST_TEST(error_mentions(with_archive("regoin = \"x\""), {"number 1, regoin", "did you mean region?"}));
  BOOST_TEST(error_mentions(with_archive("credentials = { acces_key = \"x\" }"),
                            {"credentials.acces_key", "did you mean credentials.access_key?"}));
  BOOST_TEST(error_mentions(with_archive("type = \"tape\""), {"stores.archive.type: \"tape\" is neither"}));
  BOOST_TEST(error_mentions(with_archive("credentials = { access_key = \"x\" }"),
                            {"stores.archive.credentials: only one of access_key and secret_key"}));
  BOOST_TEST(error_mentions("[store]\nbucket = \"tape\"\n[[stores]]\nname = \"a\"\nbucket = \"tape\"",
                            {"stores.a.bucket: \"tape\" is named in store.bucket, too"}));
  BOOST_TEST(error_mentions(with_archive("other_buckets = [\"media\"]"),
                            {"stores.archive.other_buckets: \"media\" is named in store.bucket, too"}));
  BOOST_TEST(error_mentions("[store]\nother_buckets = \"*\"\n" + with_archive("other_buckets = \"*\"").substr(8),
                            {"stores.archive.other_buckets: \"*\" is named in store.other_buckets, too"}));
  BOOST_TEST(error_mentions("[store]\npath = \"a\"\n[[stores]]\nname = \"x\"\nbucket = \"xb\"\npath = \"a/./b\"",
                            {"stores.x.path: \"a/./b\" is, or is in, the folder of store.path"}));
  BOOST_TEST(error_mentions("[[stores]]\nname = \"x\"\nbucket = \"xb\"\nendpoint = \"http://s3\"",
                            {"stores.x.endpoint", "is for S3; set stores.x.type = \"s3\""}));
  BOOST_TEST(error_mentions("[[stores]]\nname = \"..\"\nbucket = \"xb\"", {"stores: \"..\" is not the name"}));
  BOOST_TEST(error_mentions("[profiles.a]\nstore = \"default\"", {"profiles.a.store: leave it out for [store]"}));
  BOOST_TEST(error_mentions(with_archive("", "[profiles.a]\nstore = \"archiv\""),
                            {"profiles.a.store: there is no store \"archiv\"", "did you mean archive?"}));
  BOOST_TEST(
      error_mentions(with_archive("", "[profiles.a]\nbucket = \"tape\""),
                     {"profiles.a.bucket: \"tape\" is neither store.bucket", "set profiles.a.store = \"archive\""}));
  BOOST_TEST(error_mentions(with_archive("", "[profiles.a]\nstore = \"archive\"\nbucket = \"media\""),
                            {"\"media\" is neither stores.archive.bucket"}));
  const char* const environment[] = {"POSTERN_STORES=[{ name = \"a\", type = \"tape\" }]", nullptr};
  BOOST_TEST(error_text("", environment).starts_with("POSTERN_STORES.a.type: \"tape\""));
}

BOOST_AUTO_TEST_CASE(the_printed_configuration_reads_back_as_the_same) {
  const auto first = app::parse_config(secrets + R"(
listen = ["127.0.0.1:1", "[::1]:2"]
[limits]
json_body = "1MiB"
form_fields = 12345
body_silence = "1500ms"
connections = 7
[ledger]
retention = "0"
[log]
level = "warning"
format = "json"
[[auth.api_keys]]
name = "app"
sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[[stores]]
name = "archive"
bucket = "tape"
path = "tapes"
[stores.credentials]
role_arn = "arn:aws:iam::1:role/x"
external_id = "an id"
[profiles."a b"]
key = "x/${id}/\"quoted\\\\"
tags = { team = "web", "the owner" = "ops" }
return_to = ["https://app.example.com/done"]
verify = ["type", "size"]
on_mismatch = "keep"
type_equivalents = { "text/csv" = ["text/*"], "image/png" = ["image/jpeg", "image/gif"] }
)",
                                       no_environment);
  const auto text = app::to_toml(first);
  // Secrets are printed as stars, and the stars are too short to be accepted as a secret.
  BOOST_CHECK_THROW(app::parse_config(text, no_environment), config_error);
  const char* const environment[] = {"POSTERN_SERVER__SECRETS=sixteen bytes or more", nullptr};
  const auto second = app::parse_config(text, environment);
  BOOST_TEST(app::to_toml(second) == text);
  BOOST_TEST(second.limits.form_fields == 12345u);
  BOOST_TEST((second.limits.body_silence == std::chrono::milliseconds(1500)));
  BOOST_TEST(second.auth.api_keys.front().name == "app");
  BOOST_TEST((second.logging.level == log::level::warning));
  BOOST_TEST((second.stores == first.stores));
  const auto& p = second.profiles.at("a b");
  BOOST_TEST(p.key == first.profiles.at("a b").key);
  BOOST_TEST(p.tags.at("the owner") == "ops");
}

BOOST_AUTO_TEST_CASE(a_printed_configuration_has_no_secrets) {
  const auto c = app::parse_config(R"(
[server]
secrets = ["a secret of the server"]
[store.credentials]
access_key = "AKIAIOSFODNN7EXAMPLE"
secret_key = "a secret of the store"
session_token = "a secret of the session"
[ledger]
url = "postgresql://postern:hunter2@db.example.com/postern"
[events]
token = "a secret of the events"
[[webhooks]]
url = "https://app.example.com"
secret = ["a secret of the webhook", "a secret before it"]
)",
                                   no_environment);
  const auto text = app::to_toml(c);
  for (const char* hidden : {"a secret", "hunter2"}) BOOST_TEST(text.find(hidden) == text.npos, hidden);
  for (const char* line : {"server.secrets = [\"***\"]\n", "store.credentials.secret_key = \"***\"\n",
                           "secret = [\"***\", \"***\"]", "store.credentials.access_key = \"AKIAIOSFODNN7EXAMPLE\"\n",
                           "ledger.url = \"postgresql://postern@db.example.com/"})
    BOOST_TEST(text.find(line) != text.npos, line);
}

BOOST_AUTO_TEST_CASE(the_defaults_are_printed_with_every_setting) {
  const auto text = app::default_settings();
  for (const char* line :
       {"server.listen = [\"127.0.0.1:8080\"]\n", "server.secrets = []\n", "server.drain = \"30s\"\n",
        "server.tls.certificate = \"\"\n", "limits.form_fields = \"20KB\"\n", "limits.connections = 20000\n",
        "auth.api_keys = []\n", "store.credentials.session_token = \"\"\n", "ledger.retention = \"365d\"\n",
        "webhooks = []\n", "log.level = \"info\"\n", "profiles.default.key = \"uploads/${id}/${filename}\"\n",
        "profiles.default.expires = \"15m\"\n", "profiles.default.tags = {}\n"})
    BOOST_TEST(text.find(line) != text.npos, line);
}
