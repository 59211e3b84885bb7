// The sources of credentials that read files or ask an endpoint of the machine: shared files, containers, instances.
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/aws/shared_file.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace postern {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t max_answer = 64 << 10;
constexpr std::string_view blanks = " \t\r\n"; // files can have CR LF line ends

std::string get(const variables& v, const char* name) {
  const auto found = v.find(name);
  return found == v.end() ? std::string{} : found->second;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream in(path);
  if (!in) return std::nullopt;
  std::stringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

// --- shared files -----------------------------------------------------------------------------------

class shared_file_credentials final : public credential_source {
public:
  shared_file_credentials(const variables& v, std::string profile)
      : profile_(profile.empty() ? get(v, "AWS_PROFILE") : std::move(profile)), is_named_(!profile_.empty()) {
    if (!is_named_) profile_ = "default";
    const auto home = get(v, "HOME");
    credentials_ = get(v, "AWS_SHARED_CREDENTIALS_FILE");
    config_ = get(v, "AWS_CONFIG_FILE");
    if (credentials_.empty()) credentials_ = home + "/.aws/credentials";
    if (config_.empty()) config_ = home + "/.aws/config";
  }

  task<result<held_credentials>> fetch() override {
    auto settings = settings_of_profile();
    const auto where = "profile " + quote(profile_) + " in " + credentials_;
    const auto missing = is_named_ ? errc::invalid_argument : errc::not_found;
    if (!settings) co_return failure{missing, "shared files: there is no " + where + " or " + config_};
    const auto key = get(*settings, "aws_access_key_id"), hidden = get(*settings, "aws_secret_access_key");
    if (key.empty() != hidden.empty())
      co_return failure{errc::invalid_argument,
                        where + " has only one of aws_access_key_id and aws_secret_access_key; set both"};
    if (!key.empty())
      co_return held_credentials{{key, secret(hidden), get(*settings, "aws_session_token")}, std::nullopt, where};
    for (const char* other : {"role_arn", "credential_process", "sso_session", "sso_start_url"})
      if (settings->contains(other))
        co_return failure{errc::invalid_argument, where + " uses " + other +
                                                      ", which Postern does not support; put an access key and secret "
                                                      "there, and name a role in store.credentials.role_arn"};
    co_return failure{missing, where + " has no aws_access_key_id"};
  }

private:
  std::optional<shared_settings> settings_of_profile() const {
    const auto credentials = read_file(credentials_), config = read_file(config_);
    return profile_settings(credentials.value_or(""), config.value_or(""), profile_);
  }

  std::string profile_, credentials_, config_;
  const bool is_named_; // by the configuration or AWS_PROFILE
};

// --- JSON over HTTP ---------------------------------------------------------------------------------

// {"AccessKeyId":"…","SecretAccessKey":"…","Token":"…","Expiration":"2026-11-23T18:15:00Z"}, the answer of both
// endpoints.
result<held_credentials> read_keys(const http_response& answer, const std::string& source) {
  if (answer.status != 200) return failure{errc::unavailable, source + " answered " + std::to_string(answer.status)};
  auto document = read_json(answer.body);
  if (!document) return failure{errc::unavailable, source + " answered something that is not JSON"};
  const auto text = [&](std::string_view name) {
    const auto* v = document->find(name);
    const auto* s = v ? v->if_string() : nullptr;
    return s ? *s : std::string{};
  };
  held_credentials out{{text("AccessKeyId"), secret(text("SecretAccessKey")), text("Token")}, std::nullopt, source};
  if (out.keys.access_key.empty() || out.keys.secret_key.empty())
    return failure{errc::unavailable, source + " answered without credentials" +
                                          (text("Message").empty() ? "" : ": " + quote(text("Message")))};
  if (const auto end = text("Expiration"); !end.empty()) {
    auto moment = parse_iso8601(end);
    if (!moment) return failure{errc::unavailable, source + " answered an Expiration that is no date: " + quote(end)};
    out.expires = *moment;
  }
  return out;
}

http_request get_request(const web_url& url, std::chrono::milliseconds timeout) {
  http_request r;
  r.to = url.server;
  r.target = url.target;
  r.connect_timeout = r.idle_timeout = timeout;
  r.deadline = std::chrono::steady_clock::now() + 2 * timeout;
  return r;
}

// --- containers -------------------------------------------------------------------------------------

class container_credentials final : public credential_source {
public:
  container_credentials(const variables& v, http_client& http)
      : http_(http), relative_(get(v, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")),
        full_(get(v, "AWS_CONTAINER_CREDENTIALS_FULL_URI")), token_(get(v, "AWS_CONTAINER_AUTHORIZATION_TOKEN")),
        token_file_(get(v, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {}

  task<result<held_credentials>> fetch() override {
    if (relative_.empty() && full_.empty())
      co_return failure{errc::not_found, "container: no AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI"};
    if (!relative_.empty() && relative_.front() != '/') // or it would become part of the host name
      co_return failure{errc::invalid_argument, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is " + quote(relative_) +
                                                    "; it must begin with a slash"};
    auto url = parse_web_url(relative_.empty() ? full_ : "http://169.254.170.2" + relative_);
    if (!url) co_return failure{errc::invalid_argument, "AWS_CONTAINER_CREDENTIALS_FULL_URI: " + url.error().on};
    if (!is_trusted(url->server))
      co_return failure{errc::invalid_argument,
                        "AWS_CONTAINER_CREDENTIALS_FULL_URI names the host " + quote(url->server.host) +
                            "; over http it must be localhost or the address of the ECS or EKS agent"};
    auto ask = get_request(*url, 5s);
    auto token = token_;
    if (!token_file_.empty()) {
      auto text = read_file(token_file_);
      if (!text)
        co_return failure{errc::invalid_argument,
                          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: " + quote(token_file_) +
                              " cannot be read; check that it exists and that the user that runs Postern may read it"};
      token = trim(*text, blanks);
    }
    if (token.find_first_of("\r\n") != token.npos)
      co_return failure{errc::invalid_argument,
                        "AWS_CONTAINER_AUTHORIZATION_TOKEN(_FILE): the token contains a line break"};
    if (!token.empty()) ask.fields.emplace_back("Authorization", token);
    auto answer = co_await http_.send(ask, {}, max_answer);
    if (!answer) co_return failure{errc::unavailable, "container endpoint: " + answer.error().on};
    co_return read_keys(*answer, "container endpoint");
  }

private:
  // The authorization token must not be sent over a network in clear text.
  static bool is_trusted(const http_address& at) {
    return at.tls || at.is_loopback() || at.host == "169.254.170.2" || at.host == "169.254.170.23" ||
           at.host == "[fd00:ec2::23]";
  }
  http_client& http_;
  const std::string relative_, full_, token_, token_file_;
};

// --- instances --------------------------------------------------------------------------------------

class imds_credentials final : public credential_source {
public:
  imds_credentials(const variables& v, http_client& http)
      : http_(http), is_disabled_(lower(get(v, "AWS_EC2_METADATA_DISABLED")) == "true"),
        endpoint_(get(v, "AWS_EC2_METADATA_SERVICE_ENDPOINT")) {
    if (endpoint_.empty()) endpoint_ = "http://169.254.169.254";
    while (endpoint_.ends_with('/')) endpoint_.pop_back();
  }

  // PUT /latest/api/token, GET /latest/meta-data/iam/security-credentials/, GET …/<role>
  task<result<held_credentials>> fetch() override {
    if (is_disabled_)
      co_return failure{errc::not_found, "instance metadata: switched off by AWS_EC2_METADATA_DISABLED"};
    auto url = parse_web_url(endpoint_ + "/latest/api/token");
    if (!url) co_return failure{errc::invalid_argument, "AWS_EC2_METADATA_SERVICE_ENDPOINT: " + url.error().on};
    auto ask = get_request(*url, 1s);
    ask.method = "PUT";
    ask.fields.emplace_back("X-aws-ec2-metadata-token-ttl-seconds", "300");
    auto token = co_await http_.send(ask, {}, max_answer);
    if (!token) co_return failure{errc::not_found, "instance metadata: " + endpoint_ + " does not answer"};
    if (token->status != 200 || token->body.empty() || token->body.find_first_of("\r\n") != token->body.npos)
      co_return failure{errc::unavailable,
                        "instance metadata: the request for a token was answered " + std::to_string(token->status)};

    ask = get_request(*url, 5s);
    ask.target = "/latest/meta-data/iam/security-credentials/";
    ask.fields.emplace_back("X-aws-ec2-metadata-token", token->body);
    auto role = co_await http_.send(ask, {}, max_answer);
    if (!role) co_return failure{errc::unavailable, "instance metadata: " + role.error().on};
    if (role->status == 404) co_return failure{errc::not_found, "instance metadata: this instance has no role"};
    const std::string name(trim(std::string_view(role->body).substr(0, role->body.find('\n')), blanks));
    if (role->status != 200 || name.empty())
      co_return failure{errc::unavailable, "instance metadata: the request for the role's name was answered " +
                                               std::to_string(role->status)};
    ask.target += uri_encode(name);
    auto keys = co_await http_.send(ask, {}, max_answer);
    if (!keys) co_return failure{errc::unavailable, "instance metadata: " + keys.error().on};
    co_return read_keys(*keys, "instance role " + quote(name));
  }

private:
  http_client& http_;
  const bool is_disabled_;
  std::string endpoint_;
};

} // namespace

credential_source_ptr make_shared_file_credentials(const variables& v, std::string profile) {
  return std::make_unique<shared_file_credentials>(v, std::move(profile));
}
credential_source_ptr make_container_credentials(const variables& v, http_client& http) {
  return std::make_unique<container_credentials>(v, http);
}
credential_source_ptr make_imds_credentials(const variables& v, http_client& http) {
  return std::make_unique<imds_credentials>(v, http);
}

} // namespace postern
