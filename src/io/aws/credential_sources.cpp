// The places where AWS's tools find keys beside the environment: shared files, the container's endpoint, the instance's
// metadata.
#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/aws/credentials.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace postern {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t max_answer = 64 << 10;

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

// The settings of one section of an INI file as AWS's tools write it; nothing when the section is not there.
std::optional<variables> section_of(const std::string& text, const std::string& name) {
  std::optional<variables> found;
  bool inside = false;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto l = trim(line);
    if (l.empty() || l.front() == '#' || l.front() == ';') continue;
    if (l.front() == '[') {
      const auto end = l.find(']'); // a comment may follow
      inside = end != l.npos && trim(l.substr(1, end - 1)) == name;
      if (inside && !found) found.emplace();
      continue;
    }
    const auto equals = l.find('=');
    if (inside && equals != l.npos) (*found)[lower(trim(l.substr(0, equals)))] = trim(l.substr(equals + 1));
  }
  return found;
}

class shared_file_credentials final : public credential_source {
public:
  shared_file_credentials(const variables& v, std::string profile)
      : profile_(std::move(profile)), named_(!profile_.empty()) {
    if (!named_) profile_ = get(v, "AWS_PROFILE");
    named_ = !profile_.empty();
    if (!named_) profile_ = "default";
    const auto home = get(v, "HOME");
    credentials_ = get(v, "AWS_SHARED_CREDENTIALS_FILE");
    config_ = get(v, "AWS_CONFIG_FILE");
    if (credentials_.empty()) credentials_ = home + "/.aws/credentials";
    if (config_.empty()) config_ = home + "/.aws/config";
  }

  task<result<held_credentials>> fetch() override {
    // In the credentials file a profile is [name], in the config file [profile name], but for the default.
    const auto first = read_file(credentials_), second = read_file(config_);
    auto settings = first ? section_of(*first, profile_) : std::nullopt;
    auto more = second ? section_of(*second, profile_ == "default" ? profile_ : "profile " + profile_) : std::nullopt;
    if (settings && more)
      settings->merge(*more);
    else if (more)
      settings = std::move(more);
    const auto where = "profile " + quote(profile_) + " in " + credentials_;
    if (!settings) co_return failure{named_ ? errc::invalid_argument : errc::not_found, "shared files: no " + where};
    const auto key = get(*settings, "aws_access_key_id"), hidden = get(*settings, "aws_secret_access_key");
    if (key.empty() != hidden.empty())
      co_return failure{errc::invalid_argument, where + " needs both aws_access_key_id and aws_secret_access_key"};
    if (!key.empty())
      co_return held_credentials{{key, secret(hidden), get(*settings, "aws_session_token")}, std::nullopt, where};
    for (const char* other : {"role_arn", "credential_process", "sso_session", "sso_start_url"})
      if (settings->contains(other))
        co_return failure{errc::invalid_argument,
                          where + " gives its keys by " + other +
                              ", which is not read here; name keys, or the role as store.credentials.role_arn"};
    co_return failure{named_ ? errc::invalid_argument : errc::not_found, where + " has no aws_access_key_id"};
  }

private:
  std::string profile_, credentials_, config_;
  bool named_;
};

// --- JSON over HTTP ---------------------------------------------------------------------------------

// {"AccessKeyId":"…","SecretAccessKey":"…","Token":"…","Expiration":"2026-11-23T18:15:00Z"}, as containers and
// instances are answered.
result<held_credentials> read_keys(const http_response& answer, const std::string& source) {
  if (answer.status != 200) return failure{errc::unavailable, source + " answered " + std::to_string(answer.status)};
  auto document = read_json(answer.body);
  if (!document) return failure{errc::unavailable, source + " answered what is not JSON"};
  const auto text = [&](std::string_view name) {
    const auto* v = document->find(name);
    const auto* s = v ? v->if_string() : nullptr;
    return s ? *s : std::string{};
  };
  held_credentials out{{text("AccessKeyId"), secret(text("SecretAccessKey")), text("Token")}, std::nullopt, source};
  if (out.keys.access_key.empty() || out.keys.secret_key.empty())
    return failure{errc::unavailable,
                   source + " answered no keys" + (text("Message").empty() ? "" : ": " + quote(text("Message")))};
  if (const auto end = text("Expiration"); !end.empty()) {
    auto moment = parse_iso8601(end);
    if (!moment) return failure{errc::unavailable, source + " answered an Expiration that cannot be read"};
    out.expires = *moment;
  }
  return out;
}

http_request get_request(const web_url& url, std::chrono::milliseconds patience) {
  http_request r;
  r.to = url.server;
  r.target = url.target;
  r.dial = r.silence = patience;
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
      co_return failure{errc::not_found, "container: no AWS_CONTAINER_CREDENTIALS_*_URI"};
    if (!relative_.empty() && relative_.front() != '/') // it would go on with the host's name
      co_return failure{errc::invalid_argument,
                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with a slash, unlike " + quote(relative_)};
    auto url = parse_web_url(relative_.empty() ? full_ : "http://169.254.170.2" + relative_);
    if (!url) co_return failure{errc::invalid_argument, "AWS_CONTAINER_CREDENTIALS_FULL_URI: " + url.error().on};
    if (!is_trusted(url->server))
      co_return failure{errc::invalid_argument,
                        "AWS_CONTAINER_CREDENTIALS_FULL_URI may be https, loopback or the agent's address only, not " +
                            quote(url->server.host)};
    auto ask = get_request(*url, 5s);
    auto token = token_;
    if (!token_file_.empty()) {
      auto text = read_file(token_file_);
      if (!text)
        co_return failure{errc::invalid_argument,
                          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: " + quote(token_file_) + " cannot be read"};
      token = trim(*text);
    }
    if (token.find_first_of("\r\n") != token.npos)
      co_return failure{errc::invalid_argument, "the container's authorization token has a line end in it"};
    if (!token.empty()) ask.fields.emplace_back("Authorization", token);
    auto answer = co_await http_.send(ask, {}, max_answer);
    if (!answer) co_return failure{errc::unavailable, "container endpoint: " + answer.error().on};
    co_return read_keys(*answer, "container endpoint");
  }

private:
  // A token that is sent to whoever the environment names must not leave the machine in the open.
  static bool is_trusted(const http_address& at) {
    if (at.tls || at.host == "localhost" || at.host == "169.254.170.2" || at.host == "169.254.170.23" ||
        at.host == "[fd00:ec2::23]" || at.host == "[::1]")
      return true;
    boost::system::error_code no_address; // 127.example.com is a name
    const auto address = asio::ip::make_address_v4(at.host, no_address);
    return !no_address && address.is_loopback();
  }
  http_client& http_;
  const std::string relative_, full_, token_, token_file_;
};

// --- instances --------------------------------------------------------------------------------------

class imds_credentials final : public credential_source {
public:
  imds_credentials(const variables& v, http_client& http)
      : http_(http), off_(lower(get(v, "AWS_EC2_METADATA_DISABLED")) == "true"),
        endpoint_(get(v, "AWS_EC2_METADATA_SERVICE_ENDPOINT")) {
    if (endpoint_.empty()) endpoint_ = "http://169.254.169.254";
    while (endpoint_.ends_with('/')) endpoint_.pop_back();
  }

  // PUT /latest/api/token, GET /latest/meta-data/iam/security-credentials/, GET …/<role>
  task<result<held_credentials>> fetch() override {
    if (off_) co_return failure{errc::not_found, "instance metadata: switched off"};
    auto url = parse_web_url(endpoint_ + "/latest/api/token");
    if (!url) co_return failure{errc::invalid_argument, "AWS_EC2_METADATA_SERVICE_ENDPOINT: " + url.error().on};
    auto ask = get_request(*url, 1s);
    ask.method = "PUT";
    ask.fields.emplace_back("X-aws-ec2-metadata-token-ttl-seconds", "300");
    auto token = co_await http_.send(ask, {}, max_answer);
    if (!token) co_return failure{errc::not_found, "instance metadata: nobody answers"};
    if (token->status != 200 || token->body.empty() || token->body.find_first_of("\r\n") != token->body.npos)
      co_return failure{errc::unavailable,
                        "instance metadata: the token was answered " + std::to_string(token->status)};

    ask = get_request(*url, 5s);
    ask.target = "/latest/meta-data/iam/security-credentials/";
    ask.fields.emplace_back("X-aws-ec2-metadata-token", token->body);
    auto role = co_await http_.send(ask, {}, max_answer);
    if (!role) co_return failure{errc::unavailable, "instance metadata: " + role.error().on};
    if (role->status == 404) co_return failure{errc::not_found, "instance metadata: this instance has no role"};
    const std::string name(trim(std::string_view(role->body).substr(0, role->body.find('\n'))));
    if (role->status != 200 || name.empty())
      co_return failure{errc::unavailable, "instance metadata: the role was answered " + std::to_string(role->status)};
    ask.target += uri_encode(name);
    auto keys = co_await http_.send(ask, {}, max_answer);
    if (!keys) co_return failure{errc::unavailable, "instance metadata: " + keys.error().on};
    co_return read_keys(*keys, "instance role " + quote(name));
  }

private:
  http_client& http_;
  const bool off_;
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
