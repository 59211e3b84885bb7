// Each source of credentials by itself, then the chain and roles. credential_cache_test covers the cache.
#include "support/captured_log.hpp"
#include "support/run_task.hpp"
#include "support/scripted_peer.hpp"
#include "support/temporary_folder.hpp"
#include <postern/base/encoding.hpp>
#include <postern/io/aws/credentials.hpp>

#include <boost/test/unit_test.hpp>

#include <arpa/inet.h>
#include <cstring>
#include <fstream>
#include <functional>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace postern;
using namespace postern::test;
using namespace std::chrono_literals;
using place = step::place;

namespace {

constexpr const char *key = "AKIDEXAMPLE", *hidden = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                     *token = "IQoJb3JpZ2luX2VjEXAMPLE//token==";
const seconds_clock now = parse_iso8601("2026-11-23T18:15:00Z").value();

std::string json_keys(const std::string& expiration = "2026-11-23T19:15:00Z") {
  return std::string(R"({"Code":"Success","Type":"AWS-HMAC","AccessKeyId":")") + key + R"(","SecretAccessKey":")" +
         hidden + R"(","Token":")" + token + R"(","Expiration":")" + expiration + R"("})";
}

std::string sts_keys(const std::string& action, const std::string& access_key = key) {
  return "<" + action + "Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><" + action +
         "Result><AssumedRoleUser><Arn>arn</Arn></AssumedRoleUser><Credentials><AccessKeyId>" + access_key +
         "</AccessKeyId><SecretAccessKey>" + hidden + "</SecretAccessKey><SessionToken>" + token +
         "</SessionToken><Expiration>2026-11-23T19:15:00Z</Expiration></Credentials></" + action + "Result></" +
         action + "Response>";
}

std::string sts_error(const std::string& code, const std::string& message) {
  return "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>" + code +
         "</Code><Message>" + message + "</Message></Error><RequestId>1</RequestId></ErrorResponse>";
}

// The value of one parameter of a form.
std::string parameter(const received_request& r, std::string_view name) {
  const auto found = query_parameter(r.body, name);
  return found ? *found : "(absent)";
}

struct fixture {
  temporary_folder folder;
  http_client http;
  asio::io_context loop{1};

  result<held_credentials> fetched(credential_source& from) { return run_on(loop, from.fetch()); }
  std::string file(const std::string& name, const std::string& text) {
    const auto path = folder.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }
};

void check_keys(const result<held_credentials>& got, const std::string& source, bool temporary = true) {
  BOOST_TEST_REQUIRE(got.has_value(), (got ? "" : describe(got.error())));
  BOOST_TEST(got->keys.access_key == key);
  BOOST_TEST(got->keys.secret_key.reveal() == hidden);
  BOOST_TEST(got->keys.session_token == (temporary ? token : ""));
  BOOST_TEST((got->expires == (temporary ? std::optional(now + 1h) : std::nullopt)));
  BOOST_TEST(got->source == source);
}

// Checks that the result is a failure with this code, that its text has these words, and no secret.
void check_failure(const result<held_credentials>& got, errc code, std::initializer_list<std::string> words) {
  BOOST_TEST_REQUIRE(!got.has_value());
  const auto& f = got.error();
  BOOST_TEST(text_of(f.code).name == text_of(code).name, describe(f));
  for (const auto& w : words) BOOST_TEST(f.on.find(w) != f.on.npos, "\"" << w << "\" is not in: " << f.on);
  for (const auto* s : {hidden, token}) BOOST_TEST(f.on.find(s) == f.on.npos, f.on);
}

// The URL of a port on which nothing listens.
std::string unused_address() {
  asio::io_context loop;
  asio::ip::tcp::acceptor a(loop, {asio::ip::make_address("127.0.0.1"), 0}, true);
  return "http://127.0.0.1:" + std::to_string(a.local_endpoint().port());
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(credentials_, fixture)

BOOST_AUTO_TEST_CASE(static_credentials_are_returned_unchanged) {
  check_keys(fetched(*make_static_credentials({key, secret(hidden), ""})), "configuration", false);
  BOOST_TEST(fetched(*make_static_credentials({key, secret(hidden), token}))->keys.session_token == token);
}

BOOST_AUTO_TEST_CASE(credentials_are_read_from_the_environment) {
  variables v{{"AWS_ACCESS_KEY_ID", key}, {"AWS_SECRET_ACCESS_KEY", hidden}};
  check_keys(fetched(*make_environment_credentials(v)), "environment", false);
  v["AWS_SESSION_TOKEN"] = token;
  BOOST_TEST(fetched(*make_environment_credentials(v))->keys.session_token == token);
  for (const auto* missing : {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}) {
    for (const bool empty : {false, true}) {
      auto half = v;
      half.erase(missing);
      if (empty) half[missing] = "";
      check_failure(fetched(*make_environment_credentials(half)), errc::invalid_argument,
                    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "both"});
    }
  }
  check_failure(fetched(*make_environment_credentials({})), errc::not_found, {"AWS_ACCESS_KEY_ID"});
  check_failure(fetched(*make_environment_credentials({{"AWS_SESSION_TOKEN", token}})), errc::not_found, {});
}

// --- shared files -----------------------------------------------------------------------------------

namespace {

std::string profile(const std::string& name, const std::string& access_key) {
  return "[" + name + "]\naws_access_key_id = " + access_key + "\naws_secret_access_key = " + hidden + "\n";
}

} // namespace

BOOST_AUTO_TEST_CASE(shared_files_are_searched_by_profile) {
  const variables v{
      {"AWS_SHARED_CREDENTIALS_FILE",
       file("credentials", "# mine\n" + profile("default", key) + "\n" + profile("work", "WORK") +
                               "aws_session_token = " + token + "\n" + profile("both", "FIRST"))},
      {"AWS_CONFIG_FILE", file("config", "[default]\nregion = eu-west-1\n" + profile("profile there", "THERE") +
                                             profile("profile both", "SECOND") + profile("bare", "BARE"))}};
  const auto by = [&](const std::string& name) { return fetched(*make_shared_file_credentials(v, name)); };
  check_keys(by(""), "profile \"default\" in " + v.at("AWS_SHARED_CREDENTIALS_FILE"), false);
  BOOST_TEST(by("default")->keys.access_key == key);
  BOOST_TEST(by("work")->keys.access_key == "WORK");
  BOOST_TEST(by("work")->keys.session_token == token);
  BOOST_TEST(by("there")->keys.access_key == "THERE");          // [profile there] of the config file
  BOOST_TEST(by("both")->keys.access_key == "FIRST");           // the credentials file takes precedence
  for (const auto* absent : {"bare", "profile there", "ghost"}) // [bare] is no profile in a config file
    check_failure(by(absent), errc::invalid_argument, {quote(absent), v.at("AWS_SHARED_CREDENTIALS_FILE")});

  auto named = v;
  named["AWS_PROFILE"] = "work";
  BOOST_TEST(fetched(*make_shared_file_credentials(named, ""))->keys.access_key == "WORK");
  BOOST_TEST(fetched(*make_shared_file_credentials(named, "both"))->keys.access_key ==
             "FIRST"); // the configured profile takes precedence
  named["AWS_PROFILE"] = "ghost";
  check_failure(fetched(*make_shared_file_credentials(named, "")), errc::invalid_argument, {"\"ghost\""});
}

BOOST_AUTO_TEST_CASE(shared_files_are_in_the_home_folder) {
  file("home/.aws/credentials", profile("default", key));
  file("home/.aws/config", profile("profile x", "X"));
  const variables v{{"HOME", folder.path() / "home"}};
  BOOST_TEST(fetched(*make_shared_file_credentials(v, ""))->keys.access_key == key);
  BOOST_TEST(fetched(*make_shared_file_credentials(v, "x"))->keys.access_key == "X");
  check_failure(fetched(*make_shared_file_credentials({{"HOME", folder.path() / "empty"}}, "")), errc::not_found,
                {"shared files", ".aws/credentials"});
  check_failure(fetched(*make_shared_file_credentials({}, "")), errc::not_found, {"shared files"});
}

BOOST_AUTO_TEST_CASE(shared_files_are_parsed_as_people_write_them) {
  const std::string two = std::string("aws_access_key_id=") + key + "\naws_secret_access_key=" + hidden + "\n";
  for (const auto& text : {
           "[default]\n" + two,
           "[default]\r\naws_access_key_id = " + std::string(key) + "\r\naws_secret_access_key = " + hidden + "\r\n",
           "  [ default ]  \n" + two,
           "[default] # mine\n" + two,
           "[default] ; mine\n" + two,
           "# [default]\n; [default]\n\n[default]\n# a = b\n" + two,
           "[default]\nAWS_ACCESS_KEY_ID=" + std::string(key) + "\nAws_Secret_Access_Key\t=\t" + hidden,
           "[default]\nregion=x\n[other]\naws_access_key_id=OTHER\n[default]\n" + two,
           "aws_access_key_id=NOBODYS\n[default]\nnot a setting\n" + two,
           "[default]\ns3 =\n  addressing_style = path\n" + two,
       }) {
    BOOST_TEST_CONTEXT(text) {
      const variables v{{"AWS_SHARED_CREDENTIALS_FILE", file("credentials", text)}};
      check_keys(fetched(*make_shared_file_credentials(v, "")),
                 "profile \"default\" in " + v.at("AWS_SHARED_CREDENTIALS_FILE"), false);
    }
  }
}

BOOST_AUTO_TEST_CASE(unusable_shared_files_are_errors_with_the_reason) {
  const auto by = [&](const std::string& text, const std::string& name) {
    return fetched(*make_shared_file_credentials({{"AWS_SHARED_CREDENTIALS_FILE", file("credentials", text)}}, name));
  };
  check_failure(by("[default]\naws_access_key_id=A\n", ""), errc::invalid_argument,
                {"only one of", "aws_secret_access_key", "set both"});
  check_failure(by("[default]\naws_secret_access_key=" + std::string(hidden), ""), errc::invalid_argument,
                {"set both"});
  check_failure(by("[default]\nregion=x\n", ""), errc::not_found, {"no aws_access_key_id"});
  check_failure(by("[default]\nregion=x\n", "default"), errc::invalid_argument, {"no aws_access_key_id"});
  for (const auto* other : {"role_arn", "credential_process", "sso_session", "sso_start_url"})
    check_failure(by("[default]\n" + std::string(other) + "=x\n", ""), errc::invalid_argument,
                  {other, "store.credentials.role_arn"});
}

BOOST_AUTO_TEST_CASE(shared_files_are_read_at_each_fetch) {
  const variables v{{"AWS_SHARED_CREDENTIALS_FILE", file("credentials", profile("default", "OLD"))}};
  const auto source = make_shared_file_credentials(v, "");
  BOOST_TEST(fetched(*source)->keys.access_key == "OLD");
  file("credentials", profile("default", "NEW"));
  BOOST_TEST(fetched(*source)->keys.access_key == "NEW");
}

// --- containers -------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_container_endpoint_is_asked_by_its_full_uri) {
  scripted_peer peer({answers(200, json_keys()).wants("GET /v1/credentials?id=1 HTTP/1.1"), answers(200, json_keys()),
                      answers(200, json_keys()), answers(200, json_keys())});
  variables v{{"AWS_CONTAINER_CREDENTIALS_FULL_URI", peer.url() + "/v1/credentials?id=1"}};
  check_keys(fetched(*make_container_credentials(v, http)), "container endpoint");
  v["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Basic abc";
  check_keys(fetched(*make_container_credentials(v, http)), "container endpoint");
  v["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = file("token", "from the file\n");
  const auto source = make_container_credentials(v, http);
  check_keys(fetched(*source), "container endpoint");
  file("token", "renewed");
  check_keys(fetched(*source), "container endpoint");
  const auto requests = peer.requests();
  BOOST_TEST(!requests[0].has("authorization"));
  BOOST_TEST(requests[1].field("authorization") == "Basic abc");
  BOOST_TEST(requests[2].field("authorization") == "from the file");
  BOOST_TEST(requests[3].field("authorization") == "renewed");
}

BOOST_AUTO_TEST_CASE(an_unreachable_container_endpoint_is_an_error) {
  check_failure(fetched(*make_container_credentials({}, http)), errc::not_found, {"AWS_CONTAINER_CREDENTIALS"});
  check_failure(fetched(*make_container_credentials({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", unused_address()}}, http)),
                errc::unavailable,
                {"container endpoint", "refused"}); // the endpoint was configured, so this is an error
}

BOOST_AUTO_TEST_CASE(container_tokens_go_to_trusted_hosts_only) {
  const auto ask = [&](const std::string& url) {
    return fetched(*make_container_credentials(
        {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}, {"AWS_CONTAINER_AUTHORIZATION_TOKEN", token}}, http));
  };
  const auto port = unused_address().substr(std::string("http://127.0.0.1").size());
  for (const auto& url : {"http://127.0.0.1" + port, "http://127.1.2.3" + port, "http://localhost" + port,
                          "http://LOCALHOST" + port, "http://[::1]" + port, "https://localhost" + port})
    check_failure(ask(url), errc::unavailable, {"container endpoint"}); // the endpoint was asked
  for (const auto* url :
       {"http://example.com/", "http://10.0.0.1/", "http://0.0.0.0/", "http://169.254.169.254/",
        "http://169.254.170.3/", "http://[fd00:ec2::24]/", "http://[::2]/", "http://localhost.example.com/",
        "http://127.example.com/", "http://127.0.0.1.example.com/", "http://127.0.0.1.nip.io/", "http://1270.0.0.1/"})
    check_failure(ask(url), errc::invalid_argument, {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "localhost"});
  for (const auto* url : {"localhost", "ftp://localhost/"})
    check_failure(ask(url), errc::invalid_argument, {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "not an http"});
  check_failure(ask("http://user@localhost/"), errc::invalid_argument,
                {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "must not have a user name"});
  // Text after the agent's address cannot redirect the request.
  for (const auto* path : {"@example.com/", ".example.com/", "0/"})
    check_failure(fetched(*make_container_credentials({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", path}}, http)),
                  errc::invalid_argument, {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"});
}

BOOST_AUTO_TEST_CASE(an_unusable_container_token_is_an_error) {
  const auto ask = [&](const char* name, const std::string& value) {
    return fetched(
        *make_container_credentials({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", unused_address()}, {name, value}}, http));
  };
  check_failure(ask("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\r\nX-Forged: 1"), errc::invalid_argument, {"line break"});
  check_failure(ask("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file("token", "a\nb")), errc::invalid_argument,
                {"line break"});
  check_failure(ask("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", folder.path() / "absent"), errc::invalid_argument,
                {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "absent", "cannot be read"});
}

BOOST_AUTO_TEST_CASE(unusable_responses_of_the_container_endpoint_are_errors) {
  const auto ask = [&](step s) {
    scripted_peer peer({std::move(s)});
    return fetched(*make_container_credentials({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", peer.url()}}, http));
  };
  check_failure(ask(answers(403, json_keys())), errc::unavailable, {"container endpoint", "403"});
  check_failure(ask(answers(500)), errc::unavailable, {"500"});
  check_failure(ask(answers(200, "<html>")), errc::unavailable, {"not JSON"});
  check_failure(ask(answers(200, "{}")), errc::unavailable, {"without credentials"});
  check_failure(ask(answers(200, "[]")), errc::unavailable, {"without credentials"});
  check_failure(ask(answers(200, R"({"AccessKeyId":1,"SecretAccessKey":2})")), errc::unavailable,
                {"without credentials"});
  check_failure(ask(answers(200, R"({"Code":"Failed","Message":"no role\n"})")), errc::unavailable,
                {"without credentials", R"("no role\x0a")"});
  check_failure(ask(answers(200, json_keys("tomorrow"))), errc::unavailable, {"Expiration"});
  check_failure(ask(answers(200, json_keys()).cut(place::middle)), errc::unavailable, {"container endpoint"});
  check_failure(ask(answers(200, std::string(70'000, ' ') + json_keys())), errc::unavailable, {"larger than"});
  const auto eternal = ask(answers(200, std::string(R"({"AccessKeyId":"A","SecretAccessKey":"B"})")));
  BOOST_TEST((eternal.has_value() && !eternal->expires && eternal->keys.session_token.empty()));
  BOOST_TEST((ask(answers(200, json_keys("2026-11-23T19:15:00.123Z")))->expires == now + 1h));
}

// --- instances --------------------------------------------------------------------------------------

namespace {

credential_source_ptr imds_at(const std::string& url, http_client& http) {
  return make_imds_credentials({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", url}}, http);
}
step imds_token(const std::string& text = "the-token==") {
  return answers(200, text).wants("PUT /latest/api/token HTTP/1.1");
}
constexpr const char* roles = "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1";

} // namespace

BOOST_AUTO_TEST_CASE(imds_asks_for_a_token_first) {
  scripted_peer peer(
      {imds_token(), answers(200, "my role/1\nother\n").wants(roles),
       answers(200, json_keys()).wants("GET /latest/meta-data/iam/security-credentials/my%20role%2F1 HTTP/1.1")});
  check_keys(fetched(*imds_at(peer.url() + "/", http)), "instance role \"my role/1\"");
  const auto requests = peer.requests();
  BOOST_TEST(requests[0].field("x-aws-ec2-metadata-token-ttl-seconds") == "300");
  BOOST_TEST(requests[1].field("x-aws-ec2-metadata-token") == "the-token==");
  BOOST_TEST(requests[2].field("x-aws-ec2-metadata-token") == "the-token==");
}

BOOST_AUTO_TEST_CASE(imds_never_falls_back_to_version_1) {
  for (const int status : {400, 403, 404, 405, 500}) {
    scripted_peer peer({answers(status, "a-token")}); // the script has no second request
    check_failure(fetched(*imds_at(peer.url(), http)), errc::unavailable,
                  {"instance metadata", "token", std::to_string(status)});
  }
  for (const auto* text : {"", "a\r\nb", "a\n"}) {
    scripted_peer peer({imds_token(text)});
    check_failure(fetched(*imds_at(peer.url(), http)), errc::unavailable, {"token"});
  }
}

BOOST_AUTO_TEST_CASE(a_broken_imds_response_names_the_step) {
  const auto ask = [&](std::vector<step> steps) {
    scripted_peer peer(std::move(steps));
    return fetched(*imds_at(peer.url(), http));
  };
  check_failure(ask({imds_token(), answers(404)}), errc::not_found, {"no role"}); // so the next source is asked
  check_failure(ask({imds_token(), answers(500)}), errc::unavailable, {"role", "500"});
  check_failure(ask({imds_token(), answers(200, "")}), errc::unavailable, {"role"});
  check_failure(ask({imds_token(), answers(200, "r").cut(place::middle)}), errc::unavailable, {"instance metadata"});
  check_failure(ask({imds_token(), answers(200, "r"), answers(404)}), errc::unavailable, {"\"r\"", "404"});
  check_failure(ask({imds_token(), answers(200, "r"),
                     answers(200, R"({"Code":"AssumeRoleUnauthorizedAccess",)"
                                  R"("Message":"not allowed"})")}),
                errc::unavailable, {"\"r\"", "not allowed"});
  const auto breaks = answers(200, json_keys()).cut(place::answer); // twice: a reused connection is retried once
  check_failure(ask({imds_token(), answers(200, "r"), breaks, breaks}), errc::unavailable, {"instance metadata"});
  check_failure(fetched(*imds_at("not a URL", http)), errc::invalid_argument, {"AWS_EC2_METADATA_SERVICE_ENDPOINT"});
}

BOOST_AUTO_TEST_CASE(a_silent_imds_is_soon_skipped) {
  check_failure(fetched(*imds_at(unused_address(), http)), errc::not_found, {"does not answer"});
  const auto begun = std::chrono::steady_clock::now();
  scripted_peer silent({imds_token().stays_silent()});
  check_failure(fetched(*imds_at(silent.url(), http)), errc::not_found, {"does not answer"});
  BOOST_TEST((std::chrono::steady_clock::now() - begun < 10s)); // the client's default timeout is 30 s
}

BOOST_AUTO_TEST_CASE(imds_can_be_switched_off) {
  scripted_peer peer(std::vector<step>{});
  for (const auto* yes : {"true", "True", "TRUE"})
    check_failure(fetched(*make_imds_credentials(
                      {{"AWS_EC2_METADATA_DISABLED", yes}, {"AWS_EC2_METADATA_SERVICE_ENDPOINT", peer.url()}}, http)),
                  errc::not_found, {"switched off"});
  BOOST_TEST(peer.accepted() == 0u);
}

// --- the two addresses that are AWS's own --------------------------------------------------------------

namespace {

constexpr int no_namespaces = 77;

// Runs f in a process with a network of its own, in which AWS's addresses are this machine's. Returns the result of f;
// std::nullopt where the system allows no namespaces.
std::optional<std::string> in_a_network_of_its_own(const std::function<std::string()>& f) {
  int pipe[2];
  if (::pipe(pipe) != 0) throw std::runtime_error("pipe");
  const pid_t child = ::fork();
  if (child == 0) {
    bool ready = ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWNET) == 0;
    const int s = ::socket(AF_INET, SOCK_DGRAM, 0);
    const auto set = [&](const char* name, const char* address) {
      ifreq r{};
      std::strncpy(r.ifr_name, name, sizeof r.ifr_name - 1);
      sockaddr_in in{};
      in.sin_family = AF_INET;
      ::inet_pton(AF_INET, address, &in.sin_addr);
      std::memcpy(&r.ifr_addr, &in, sizeof in);
      ready = ready && ::ioctl(s, SIOCSIFADDR, &r) == 0;
      r.ifr_flags = IFF_UP | IFF_RUNNING;
      ready = ready && ::ioctl(s, SIOCSIFFLAGS, &r) == 0;
    };
    set("lo", "127.0.0.1");
    set("lo:1", "169.254.170.2");
    set("lo:2", "169.254.169.254");
    ::alarm(60);
    if (!ready) ::_exit(no_namespaces);
    try {
      const auto answer = f();
      (void)!::write(pipe[1], answer.data(), answer.size());
    } catch (...) { // the child must not come back into the test runner
      ::_exit(1);
    }
    ::_exit(0);
  }
  ::close(pipe[1]);
  std::string answer(4096, '\0');
  const auto n = ::read(pipe[0], answer.data(), answer.size());
  ::close(pipe[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) throw std::runtime_error("no child process");
  if (WIFEXITED(status) && WEXITSTATUS(status) == no_namespaces) return std::nullopt;
  if (status != 0) throw std::runtime_error("the child ended with status " + std::to_string(status));
  answer.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return answer;
}

boost::test_tools::assertion_result own_networks(boost::unit_test::test_unit_id) {
  boost::test_tools::assertion_result allowed(in_a_network_of_its_own([] { return std::string("yes"); }).has_value());
  allowed.message() << "this system does not allow network namespaces";
  return allowed;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_fixed_addresses_of_aws_are_asked, *boost::unit_test::precondition(own_networks)) {
  const auto outcome = in_a_network_of_its_own([&] {
    scripted_peer agent({answers(200, json_keys()).wants("GET /v2/credentials/1 HTTP/1.1")},
                        {nullptr, "169.254.170.2", 80});
    scripted_peer instance({imds_token(), answers(200, "r").wants(roles), answers(200, json_keys())},
                           {nullptr, "169.254.169.254", 80});
    // The relative URI takes precedence.
    const variables v{{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1"},
                      {"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/"}};
    http_client asks; // after fork, the parent's client and loop have no threads
    asio::io_context own{1};
    const auto container = run_on(own, make_container_credentials(v, asks)->fetch());
    const auto imds = run_on(own, make_imds_credentials({}, asks)->fetch());
    return (container ? container->source : container.error().on) + ", " + (imds ? imds->source : imds.error().on) +
           ", " + std::string(agent.requests().at(0).field("host"));
  });
  BOOST_TEST(outcome.value_or("") == "container endpoint, instance role \"r\", 169.254.170.2");
}

// --- STS --------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_web_identity_token_is_exchanged_for_credentials) {
  scripted_peer sts({answers(200, sts_keys("AssumeRoleWithWebIdentity")).wants("POST /sts HTTP/1.1"),
                     answers(200, sts_keys("AssumeRoleWithWebIdentity"))});
  variables v{{"AWS_WEB_IDENTITY_TOKEN_FILE", file("token", "eyJ.a+b/c=\n")},
              {"AWS_ROLE_ARN", "arn:aws:iam::1:role/x"}};
  const sts_options to{sts.url() + "/sts", "eu-west-1"};
  check_keys(fetched(*make_web_identity_credentials(v, http, to)), "role arn:aws:iam::1:role/x by web identity");
  file("token", "renewed");
  v["AWS_ROLE_SESSION_NAME"] = "pod@1";
  check_keys(fetched(*make_web_identity_credentials(v, http, to)), "role arn:aws:iam::1:role/x by web identity");

  const auto requests = sts.requests();
  BOOST_TEST(requests[0].field("content-type") == "application/x-www-form-urlencoded");
  BOOST_TEST(!requests[0].has("authorization")); // the token is what authenticates it
  BOOST_TEST(parameter(requests[0], "Action") == "AssumeRoleWithWebIdentity");
  BOOST_TEST(parameter(requests[0], "Version") == "2011-06-15");
  BOOST_TEST(parameter(requests[0], "RoleArn") == "arn:aws:iam::1:role/x");
  BOOST_TEST(parameter(requests[0], "RoleSessionName") == "postern");
  BOOST_TEST(parameter(requests[0], "WebIdentityToken") == "eyJ.a+b/c=");
  BOOST_TEST(requests[0].body.find("eyJ.a%2Bb%2Fc%3D") != std::string::npos);
  BOOST_TEST(parameter(requests[1], "RoleSessionName") == "pod@1");
  BOOST_TEST(parameter(requests[1], "WebIdentityToken") == "renewed");
}

BOOST_AUTO_TEST_CASE(a_broken_web_identity_is_an_error) {
  const auto ask = [&](const variables& v) {
    return fetched(*make_web_identity_credentials(v, http, {unused_address(), "r"}));
  };
  const auto good = file("token", "eyJ");
  check_failure(ask({}), errc::not_found, {"AWS_WEB_IDENTITY_TOKEN_FILE"});
  check_failure(ask({{"AWS_ROLE_ARN", "arn"}}), errc::not_found, {"AWS_WEB_IDENTITY_TOKEN_FILE"});
  check_failure(ask({{"AWS_WEB_IDENTITY_TOKEN_FILE", good}}), errc::invalid_argument, {"AWS_ROLE_ARN"});
  for (const auto& bad : {file("empty", "\n"), (folder.path() / "absent").string(), folder.path().string()})
    check_failure(ask({{"AWS_WEB_IDENTITY_TOKEN_FILE", bad}, {"AWS_ROLE_ARN", "arn"}}), errc::invalid_argument,
                  {bad, "cannot be read"});
  const variables v{{"AWS_WEB_IDENTITY_TOKEN_FILE", good}, {"AWS_ROLE_ARN", "arn:x"}};
  check_failure(ask(v), errc::unavailable, {"AssumeRoleWithWebIdentity arn:x", "refused"});
  scripted_peer sts({answers(400, sts_error("InvalidIdentityToken", "No OpenIDConnect provider found"))});
  check_failure(fetched(*make_web_identity_credentials(v, http, {sts.url(), "r"})), errc::store_failed,
                {"AssumeRoleWithWebIdentity arn:x", "400", "InvalidIdentityToken", "No OpenIDConnect provider found"});
}

namespace {

const utc_clock stopped = [] { return now; };
store_clock steady(stopped);

credential_source_ptr long_lived() { return make_static_credentials({"BASE", secret(hidden), ""}); }
credential_source_ptr temporary() { return make_static_credentials({"BASE", secret(hidden), "session"}); }

} // namespace

BOOST_AUTO_TEST_CASE(a_role_is_assumed_with_a_signed_request) {
  scripted_peer sts(
      {answers(200, sts_keys("AssumeRole")).wants("POST / HTTP/1.1"), answers(200, sts_keys("AssumeRole"))});
  role_options role;
  role.arn = "arn:aws:iam::1:role/uploader";
  const sts_options to{sts.url(), "eu-west-1"};
  check_keys(fetched(*make_assumed_role(long_lived(), http, to, role, steady)),
             "role arn:aws:iam::1:role/uploader by configuration");
  role.external_id = "customer +1";
  role.session_name = "node-7";
  role.duration = 43200s;
  check_keys(fetched(*make_assumed_role(long_lived(), http, to, role, steady)),
             "role arn:aws:iam::1:role/uploader by configuration");

  const auto requests = sts.requests();
  BOOST_TEST(parameter(requests[0], "Action") == "AssumeRole");
  BOOST_TEST(parameter(requests[0], "Version") == "2011-06-15");
  BOOST_TEST(parameter(requests[0], "RoleArn") == role.arn);
  BOOST_TEST(parameter(requests[0], "RoleSessionName") == "postern");
  BOOST_TEST(parameter(requests[0], "DurationSeconds") == "3600");
  BOOST_TEST(parameter(requests[0], "ExternalId") == "(absent)");
  BOOST_TEST(parameter(requests[1], "ExternalId") == "customer +1");
  BOOST_TEST(requests[1].body.find("customer%20%2B1") != std::string::npos); // RGW takes + for a plus
  BOOST_TEST(parameter(requests[1], "RoleSessionName") == "node-7");
  BOOST_TEST(parameter(requests[1], "DurationSeconds") == "43200");

  // Signed with the base keys for STS at the clock's time.
  sigv4::request signed_one;
  signed_one.method = "POST";
  signed_one.headers = {{"host", "127.0.0.1:" + std::to_string(sts.port())},
                        {"content-type", "application/x-www-form-urlencoded"},
                        {"x-amz-date", "20261123T181500Z"}};
  signed_one.payload_hash = sha256_hex(requests[0].body);
  BOOST_TEST(requests[0].field("x-amz-date") == "20261123T181500Z");
  BOOST_TEST(requests[0].field("authorization") ==
             sigv4::authorization(signed_one, {"BASE", secret(hidden), ""}, {"20261123T181500Z", "eu-west-1", "sts"}));
}

BOOST_AUTO_TEST_CASE(assume_role_with_temporary_keys_lasts_an_hour_at_most) {
  for (const auto& [asked, granted] : {std::pair{900s, "900"}, {3600s, "3600"}, {3601s, "3600"}, {43200s, "3600"}}) {
    scripted_peer sts({answers(200, sts_keys("AssumeRole"))});
    role_options role;
    role.arn = "arn:x";
    role.duration = asked;
    check_keys(fetched(*make_assumed_role(temporary(), http, {sts.url(), "r"}, role, steady)),
               "role arn:x by configuration");
    const auto requests = sts.requests();
    BOOST_TEST(parameter(requests[0], "DurationSeconds") == granted);
    BOOST_TEST(requests[0].field("x-amz-security-token") == "session");
    BOOST_TEST(
        requests[0].field("authorization").find("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token,") !=
        std::string_view::npos);
  }
}

BOOST_AUTO_TEST_CASE(one_role_can_assume_another) {
  scripted_peer sts({answers(200, sts_keys("AssumeRole", "FIRST")), answers(200, sts_keys("AssumeRole"))});
  role_options first, second;
  first.arn = "arn:first", second.arn = "arn:second";
  first.duration = second.duration = 7200s;
  const sts_options to{sts.url(), "r"};
  auto by = make_assumed_role(long_lived(), http, to, first, steady);
  check_keys(fetched(*make_assumed_role(std::move(by), http, to, second, steady)),
             "role arn:second by role arn:first by configuration");
  const auto requests = sts.requests();
  BOOST_TEST(parameter(requests[0], "DurationSeconds") == "7200");
  BOOST_TEST(parameter(requests[1], "DurationSeconds") == "3600");
  BOOST_TEST(requests[1].field("authorization").find("Credential=FIRST/") != std::string_view::npos);
}

// The first request to STS comes before any to the store, so STS must be able to correct the clock too.
BOOST_AUTO_TEST_CASE(a_wrong_clock_is_corrected_by_sts) {
  role_options role;
  role.arn = "arn:x";
  const auto refusal = [](const char* code, const char* message, std::chrono::seconds ahead) {
    return answers(403, sts_error(code, message), {{"Date", http_date(now + ahead)}});
  };
  for (const auto& [code, message] :
       {std::pair{"RequestTimeTooSkewed", "The difference is too large."},
        {"SignatureDoesNotMatch", "Signature expired: 20261123T181500Z is now earlier than 20261123T191000Z"}}) {
    scripted_peer sts({refusal(code, message, 1h), answers(200, sts_keys("AssumeRole"))});
    store_clock clock(stopped);
    check_keys(fetched(*make_assumed_role(long_lived(), http, {sts.url(), "r"}, role, clock)),
               "role arn:x by configuration");
    BOOST_TEST((clock.ahead() == 1h));
    const auto requests = sts.requests();
    BOOST_TEST(requests[0].field("x-amz-date") == amz_date(now));
    BOOST_TEST(requests[1].field("x-amz-date") == amz_date(now + 1h));
  }
  // A wrong secret is not a wrong clock, and a clock that agrees is not changed.
  for (const auto& [message, ahead] : {std::pair{"The request signature we calculated does not match", 1h},
                                       {"Signature expired: 20261123T181500Z is now earlier than …", 0h}}) {
    scripted_peer sts({refusal("SignatureDoesNotMatch", message, ahead)});
    store_clock clock(stopped);
    BOOST_TEST(!fetched(*make_assumed_role(long_lived(), http, {sts.url(), "r"}, role, clock)).has_value());
    BOOST_TEST((clock.ahead() == 0s));
  }
}

BOOST_AUTO_TEST_CASE(errors_of_sts_are_mapped_and_explained) {
  role_options role;
  role.arn = "arn:x";
  const auto ask = [&](step s) {
    scripted_peer sts({std::move(s)});
    return fetched(*make_assumed_role(long_lived(), http, {sts.url(), "r"}, role, steady));
  };
  const std::string operation = "AssumeRole arn:x with the credentials from configuration";
  struct row {
    int status;
    const char *code, *message;
    errc category;
  };
  for (const auto& r : std::vector<row>{
           {403, "AccessDenied", "User: u is not authorized to perform: sts:AssumeRole", errc::store_failed},
           {403, "InvalidClientTokenId", "The security token included in the request is invalid.", errc::store_failed},
           {403, "SignatureDoesNotMatch", "Signature expired", errc::store_failed},
           {400, "ValidationError", "DurationSeconds exceeds the MaxSessionDuration", errc::store_failed},
           {400, "ExpiredToken", "The token has expired", errc::unavailable},
           {403, "RegionDisabledException", "STS is not activated in this region", errc::store_failed},
           {429, "Throttling", "Rate exceeded", errc::unavailable},
           {500, "InternalFailure", "", errc::unavailable},
           {503, "ServiceUnavailable", "", errc::unavailable},
       })
    check_failure(ask(answers(r.status, sts_error(r.code, r.message))), r.category,
                  {operation, std::to_string(r.status), r.code, r.message});
  check_failure(ask(answers(502, "<html>")), errc::unavailable, {operation, "502"});
  check_failure(ask(answers(200, "<html>")), errc::unavailable, {operation, "no complete <Credentials>"});
  check_failure(ask(answers(200, "")), errc::unavailable, {operation, "no complete <Credentials>"});
  for (const auto* missing : {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}) {
    auto answer = sts_keys("AssumeRole");
    answer.replace(answer.find(missing), 1, "x"); // an element that does not match its end: not XML
    check_failure(ask(answers(200, answer)), errc::unavailable, {"no complete <Credentials>"});
    answer = sts_keys("AssumeRole");
    for (auto at = answer.find(missing); at != answer.npos; at = answer.find(missing)) answer.replace(at, 1, "x");
    check_failure(ask(answers(200, answer)), errc::unavailable, {"no complete <Credentials>"});
  }
  for (const auto at : {place::head, place::body, place::answer, place::middle})
    check_failure(ask(answers(200, sts_keys("AssumeRole")).cut(at)), errc::unavailable, {operation});
  check_failure(fetched(*make_assumed_role(long_lived(), http, {"sts", "r"}, role, steady)), errc::invalid_argument,
                {"store.credentials.sts_endpoint"});
  check_failure(
      fetched(*make_assumed_role(make_environment_credentials({}), http, {unused_address(), "r"}, role, steady)),
      errc::not_found, {"AWS_ACCESS_KEY_ID"}); // there are no credentials to ask with
}

// --- put together -----------------------------------------------------------------------------------

namespace {

struct recording_source final : credential_source {
  recording_source(std::string n, result<held_credentials> g, std::string& o)
      : name(std::move(n)), given(std::move(g)), order(o) {}
  task<result<held_credentials>> fetch() override {
    order += name;
    co_return given;
  }
  std::string name;
  result<held_credentials> given;
  std::string& order;
};

} // namespace

BOOST_AUTO_TEST_CASE(the_chain_takes_the_first_source_with_credentials) {
  std::string order;
  const auto chain = [&](std::vector<result<held_credentials>> all) {
    order.clear();
    std::vector<credential_source_ptr> sources;
    char name = 'a';
    for (auto& one : all)
      sources.push_back(std::make_unique<recording_source>(std::string(1, name++), std::move(one), order));
    return fetched(*make_credential_chain(std::move(sources)));
  };
  const failure none{errc::not_found, "nothing here"}, other_none{errc::not_found, "nor here"};
  const held_credentials one{{"ONE", secret(hidden), ""}, {}, "one"}, two{{"TWO", secret(hidden), ""}, {}, "two"};

  BOOST_TEST(chain({one, two})->source == "one");
  BOOST_TEST(order == "a");
  BOOST_TEST(chain({none, two, one})->source == "two");
  BOOST_TEST(order == "ab");
  check_failure(chain({none, other_none}), errc::not_found,
                {"no credentials for S3 anywhere", "nothing here; nor here"});
  BOOST_TEST(order == "ab");
  check_failure(chain({}), errc::not_found, {"no credentials for S3 anywhere"});
  // A configured but broken source must not be skipped: the next source may have another account's keys.
  for (const auto code :
       {errc::invalid_argument, errc::unavailable, errc::store_failed, errc::timed_out, errc::cancelled}) {
    check_failure(chain({none, failure{code, "broken"}, one}), code, {"broken"});
    BOOST_TEST(order == "ab");
  }
}

BOOST_AUTO_TEST_CASE(an_empty_chain_lists_all_places) {
  const variables v{{"HOME", folder.path()}, {"AWS_EC2_METADATA_DISABLED", "true"}};
  std::vector<credential_source_ptr> all;
  all.push_back(make_environment_credentials(v));
  all.push_back(make_shared_file_credentials(v, ""));
  all.push_back(make_web_identity_credentials(v, http, {unused_address(), "r"}));
  all.push_back(make_container_credentials(v, http));
  all.push_back(make_imds_credentials(v, http));
  check_failure(fetched(*make_credential_chain(std::move(all))), errc::not_found,
                {"environment:", "shared files:", "web identity:", "container:", "instance metadata:"});
}

// --- what is never printed --------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(no_secret_is_logged) {
  const captured_log log_lines;
  scripted_peer sts({answers(200, sts_keys("AssumeRole")), answers(403, sts_error("AccessDenied", "no")),
                     answers(200, sts_keys("AssumeRoleWithWebIdentity"))});
  role_options role;
  role.arn = "arn:x";
  role.duration = 7200s;
  const sts_options to{sts.url(), "r"};
  const auto cached = [&](credential_source_ptr from) {
    credential_cache cache(std::move(from), 60s, stopped);
    return run_on(loop, cache.get());
  };
  const auto got = cached(make_assumed_role(temporary(), http, to, role, steady));
  BOOST_TEST(got.has_value());
  BOOST_TEST(!cached(make_assumed_role(temporary(), http, to, role, steady)).has_value());
  BOOST_TEST(
      cached(make_web_identity_credentials(
                 {{"AWS_WEB_IDENTITY_TOKEN_FILE", file("token", "eyJhidden")}, {"AWS_ROLE_ARN", "arn:y"}}, http, to))
          .has_value());
  BOOST_TEST(cached(make_environment_credentials({{"AWS_ACCESS_KEY_ID", key}, {"AWS_SECRET_ACCESS_KEY", hidden}}))
                 .has_value());
  log::info("a test", {{"secret", (*got)->keys.secret_key}});

  const auto text = log_lines.text();
  BOOST_TEST(text.find("source=\"role arn:x by configuration\"") != text.npos, text);
  BOOST_TEST(text.find("expires=2026-11-23T19:15:00Z") != text.npos, text);
  BOOST_TEST(text.find("expires=never") != text.npos, text);
  BOOST_TEST(text.find("role duration is cut to one hour") != text.npos, text);
  BOOST_TEST(text.find("secret=***") != text.npos, text);
  for (const auto* s : {hidden, token, "eyJhidden", "session"}) BOOST_TEST(text.find(s) == text.npos, text);
}

BOOST_AUTO_TEST_SUITE_END()
