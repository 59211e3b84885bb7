// Keys of roles, asked for at STS (AWS Security Token Service API Reference).
#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/aws/credentials.hpp>

#include <algorithm>
#include <fstream>
#include <pugixml.hpp>
#include <sstream>

namespace postern {
namespace {

using namespace std::chrono_literals;

constexpr auto longest_chained = std::chrono::seconds(3600); // AWS: role chaining limits the session to one hour

std::string form_of(const std::vector<sigv4::name_value>& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters)
    out.append(out.empty() ? "" : "&").append(uri_encode(name)).append("=").append(uri_encode(value));
  return out;
}

// <AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>…, whatever namespace or order.
aws_result<held_credentials> read_answer(const http_response& answer, const std::string& during,
                                         const std::string& source) {
  if (answer.status != 200) return read_aws_error(answer, during);
  pugi::xml_document document;
  auto unreadable = odd_answer(answer, during, "an answer without credentials");
  unreadable.sorted = errc::unavailable;
  if (!document.load_buffer(answer.body.data(), answer.body.size())) return unreadable;
  const auto keys =
      document.find_node([](const pugi::xml_node& n) { return std::string_view(n.name()) == "Credentials"; });
  const auto expires = parse_iso8601(keys.child_value("Expiration"));
  held_credentials out{
      {keys.child_value("AccessKeyId"), secret(keys.child_value("SecretAccessKey")), keys.child_value("SessionToken")},
      std::nullopt,
      source};
  if (out.keys.access_key.empty() || out.keys.secret_key.empty() || out.keys.session_token.empty() || !expires)
    return unreadable;
  out.expires = *expires;
  return out;
}

// POST / HTTP/1.1
// Content-Type: application/x-www-form-urlencoded
//
// Action=AssumeRole&Version=2011-06-15&RoleArn=…&RoleSessionName=…&DurationSeconds=3600
result<http_request> request_to(const sts_options& sts) {
  auto url = parse_web_url(sts.endpoint);
  if (!url) return failure{errc::invalid_argument, "store.credentials.sts_endpoint: " + url.error().on};
  http_request r;
  r.to = url->server;
  r.method = "POST";
  r.target = url->target;
  r.silence = 10s;
  r.fields.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  return r;
}

void sign(http_request& r, std::string_view body, const sts_options& sts, const sigv4::credentials& keys,
          seconds_clock now) {
  const sigv4::scope scope{amz_date(now), sts.region, "sts"};
  sigv4::request s;
  s.method = r.method;
  s.path = r.target;
  s.payload_hash = sha256_hex(body);
  r.fields.emplace_back("x-amz-date", scope.date);
  if (!keys.session_token.empty()) r.fields.emplace_back("x-amz-security-token", keys.session_token);
  s.headers = r.fields;
  s.headers.emplace_back("host", r.to.authority());
  r.fields.emplace_back("Authorization", sigv4::authorization(s, keys, scope));
}

// The action's parameters, signed with these keys.
task<aws_result<http_response>> ask_sts(http_client& http, const sts_options& sts, const held_credentials& by,
                                        seconds_clock now, std::vector<sigv4::name_value> parameters,
                                        std::string during) {
  const auto body = form_of(parameters);
  auto request = request_to(sts);
  if (!request) {
    auto e = no_answer(request.error(), std::move(during));
    e.sorted = errc::invalid_argument;
    co_return e;
  }
  sign(*request, body, sts, by.keys, now);
  auto answer = co_await http.send(*request, body, 256 << 10);
  if (!answer) co_return no_answer(answer.error(), std::move(during));
  co_return std::move(*answer);
}

class assumed_role final : public credential_source {
public:
  assumed_role(credential_source_ptr by, http_client& http, sts_options sts, role_options role, utc_clock clock)
      : by_(std::move(by)), http_(http), sts_(std::move(sts)), role_(std::move(role)), clock_(std::move(clock)) {}

  task<result<held_credentials>> fetch() override {
    auto own = co_await by_->fetch();
    if (!own) co_return own.error();
    if (!own->keys.session_token.empty() && role_.duration > longest_chained && !std::exchange(told_, true))
      log::warning("a role assumed with temporary credentials lasts one hour at most",
                   {{"role", role_.arn}, {"asked", role_.duration.count()}});
    auto got = co_await assume_role(http_, sts_, role_, *own, clock_());
    if (!got) co_return to_failure(got.error());
    co_return std::move(*got);
  }

private:
  const credential_source_ptr by_;
  http_client& http_;
  const sts_options sts_;
  const role_options role_;
  const utc_clock clock_;
  bool told_ = false;
};

class web_identity final : public credential_source {
public:
  web_identity(const variables& v, http_client& http, sts_options sts) : http_(http), sts_(std::move(sts)) {
    const auto get = [&](const char* name) {
      const auto found = v.find(name);
      return found == v.end() ? std::string{} : found->second;
    };
    file_ = get("AWS_WEB_IDENTITY_TOKEN_FILE");
    arn_ = get("AWS_ROLE_ARN");
    session_ = get("AWS_ROLE_SESSION_NAME");
    if (session_.empty()) session_ = "postern";
  }

  task<result<held_credentials>> fetch() override {
    if (file_.empty()) co_return failure{errc::not_found, "web identity: no AWS_WEB_IDENTITY_TOKEN_FILE"};
    if (arn_.empty())
      co_return failure{errc::invalid_argument,
                        "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is set, AWS_ROLE_ARN is not"};
    std::ifstream in(file_);
    std::stringstream text;
    text << in.rdbuf();
    const std::string token(trim_end(std::move(text).str(), "\r\n"));
    if (!in || token.empty())
      co_return failure{errc::invalid_argument, "web identity: the token file " + quote(file_) + " cannot be read"};
    const auto body = form_of({{"Action", "AssumeRoleWithWebIdentity"},
                               {"Version", "2011-06-15"},
                               {"RoleArn", arn_},
                               {"RoleSessionName", session_},
                               {"WebIdentityToken", token}});
    auto request = request_to(sts_);
    if (!request) co_return request.error();
    const auto during = "AssumeRoleWithWebIdentity " + arn_;
    auto answer = co_await http_.send(*request, body, 256 << 10); // the token is what authenticates it
    if (!answer) co_return failure{errc::unavailable, during + ": " + answer.error().on};
    auto got = read_answer(*answer, during, "role " + arn_ + " by web identity");
    if (!got) co_return to_failure(got.error());
    co_return std::move(*got);
  }

private:
  http_client& http_;
  const sts_options sts_;
  std::string file_, arn_, session_;
};

} // namespace

task<aws_result<held_credentials>> assume_role(http_client& http, const sts_options& sts, const role_options& role,
                                               const held_credentials& by, seconds_clock now) {
  const auto duration = by.keys.session_token.empty() ? role.duration : std::min(role.duration, longest_chained);
  std::vector<sigv4::name_value> ask{{"Action", "AssumeRole"},
                                     {"Version", "2011-06-15"},
                                     {"RoleArn", role.arn},
                                     {"RoleSessionName", role.session_name},
                                     {"DurationSeconds", std::to_string(duration.count())}};
  if (!role.external_id.empty()) ask.emplace_back("ExternalId", role.external_id);
  const auto during = "AssumeRole " + role.arn + " with the keys of " + by.source;
  auto answer = co_await ask_sts(http, sts, by, now, std::move(ask), during);
  if (!answer) co_return answer.error();
  co_return read_answer(*answer, during, "role " + role.arn + " by " + by.source);
}

task<aws_result<std::string>> caller_identity(http_client& http, const sts_options& sts, const held_credentials& by,
                                              seconds_clock now) {
  std::vector<sigv4::name_value> ask{{"Action", "GetCallerIdentity"}, {"Version", "2011-06-15"}};
  const std::string during = "GetCallerIdentity";
  auto answer = co_await ask_sts(http, sts, by, now, std::move(ask), during);
  if (!answer) co_return answer.error();
  if (answer->status != 200) co_return read_aws_error(*answer, during);
  pugi::xml_document document;
  (void)document.load_buffer(answer->body.data(), answer->body.size());
  const auto arn = document.find_node([](const pugi::xml_node& n) { return std::string_view(n.name()) == "Arn"; });
  if (arn.text().empty()) co_return odd_answer(*answer, during, "an answer without an Arn");
  co_return std::string(arn.text().get());
}

credential_source_ptr make_assumed_role(credential_source_ptr by, http_client& http, sts_options sts, role_options role,
                                        utc_clock clock) {
  return std::make_unique<assumed_role>(std::move(by), http, std::move(sts), std::move(role), std::move(clock));
}
credential_source_ptr make_web_identity_credentials(const variables& v, http_client& http, sts_options sts) {
  return std::make_unique<web_identity>(v, http, std::move(sts));
}

} // namespace postern
