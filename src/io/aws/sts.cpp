// The sources of credentials that ask STS for those of a role (AWS Security Token Service API Reference).
#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/base/text.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/aws/aws_error.hpp>
#include <postern/io/aws/credentials.hpp>
#include <postern/io/aws/sts_answers.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace postern {
namespace {

using namespace std::chrono_literals;

constexpr auto min_correction = 1min; // a smaller difference is no reason to refuse a request
constexpr auto max_chained_duration = std::chrono::seconds(3600); // AWS: role chaining limits the session to one hour

std::string form_of(const std::vector<sigv4::name_value>& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters)
    out.append(out.empty() ? "" : "&").append(uri_encode(name)).append("=").append(uri_encode(value));
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
  r.idle_timeout = 10s;
  r.deadline = std::chrono::steady_clock::now() + 15s;
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

// Sends the parameters of an action, signed with the credentials of `caller`.
task<aws_result<http_response>> ask_sts(http_client& http, const sts_options& sts, const held_credentials& caller,
                                        seconds_clock now, std::vector<sigv4::name_value> parameters,
                                        std::string operation) {
  const auto body = form_of(parameters);
  auto request = request_to(sts);
  if (!request) {
    auto e = error_without_answer(request.error(), std::move(operation));
    e.category = errc::invalid_argument;
    co_return e;
  }
  sign(*request, body, sts, caller.keys, now);
  auto answer = co_await http.send(*request, body, 256 << 10);
  if (!answer) co_return error_without_answer(answer.error(), std::move(operation));
  co_return std::move(*answer);
}

class assumed_role final : public credential_source {
public:
  assumed_role(credential_source_ptr caller, http_client& http, sts_options sts, role_options role, store_clock& clock)
      : caller_(std::move(caller)), http_(http), sts_(std::move(sts)), role_(std::move(role)), clock_(clock) {}

  task<result<held_credentials>> fetch() override {
    auto caller = co_await caller_->fetch();
    if (!caller) co_return caller.error();
    if (!caller->keys.session_token.empty() && role_.duration > max_chained_duration &&
        !std::exchange(has_warned_, true))
      log::warning("role duration is cut to one hour",
                   {{"role", role_.arn}, {"configured_seconds", role_.duration.count()}});
    auto assumed = co_await assume_role(http_, sts_, role_, *caller, clock_.now());
    if (!assumed && adopt_time_of(assumed.error()))
      assumed = co_await assume_role(http_, sts_, role_, *caller, clock_.now());
    if (!assumed) co_return to_failure(assumed.error());
    co_return std::move(*assumed);
  }

private:
  // STS allows a difference of five minutes. Amazon's says SignatureDoesNotMatch, "Signature expired: … is now earlier
  // than …" or "Signature not yet current: …"; others say RequestTimeTooSkewed.
  bool adopt_time_of(const aws_error& refusal) {
    const bool is_about_time = refusal.code == "RequestTimeTooSkewed" ||
                               (refusal.code == "SignatureDoesNotMatch" && refusal.message.starts_with("Signature "));
    if (!is_about_time || !refusal.date) return false;
    if (std::chrono::abs(*refusal.date - clock_.now()) < min_correction) return false;
    clock_.adopt(*refusal.date);
    return true;
  }

  const credential_source_ptr caller_;
  http_client& http_;
  const sts_options sts_;
  const role_options role_;
  store_clock& clock_;
  bool has_warned_ = false;
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
                        "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not; set both"};
    std::ifstream in(file_);
    std::stringstream text;
    text << in.rdbuf();
    const std::string token(trim_end(std::move(text).str(), "\r\n"));
    if (!in || token.empty())
      co_return failure{errc::invalid_argument, "web identity: AWS_WEB_IDENTITY_TOKEN_FILE names " + quote(file_) +
                                                    ", which cannot be read or is empty"};
    const auto body = form_of({{"Action", "AssumeRoleWithWebIdentity"},
                               {"Version", "2011-06-15"},
                               {"RoleArn", arn_},
                               {"RoleSessionName", session_},
                               {"WebIdentityToken", token}});
    auto request = request_to(sts_);
    if (!request) co_return request.error();
    const auto operation = "AssumeRoleWithWebIdentity " + arn_;
    auto answer = co_await http_.send(*request, body, 256 << 10); // not signed: the token authenticates it
    if (!answer) co_return failure{errc::unavailable, operation + ": " + answer.error().on};
    auto assumed = read_role_credentials(*answer, operation, "role " + arn_ + " by web identity");
    if (!assumed) co_return to_failure(assumed.error());
    co_return std::move(*assumed);
  }

private:
  http_client& http_;
  const sts_options sts_;
  std::string file_, arn_, session_;
};

} // namespace

task<aws_result<held_credentials>> assume_role(http_client& http, const sts_options& sts, const role_options& role,
                                               const held_credentials& caller, seconds_clock now) {
  const auto duration =
      caller.keys.session_token.empty() ? role.duration : std::min(role.duration, max_chained_duration);
  std::vector<sigv4::name_value> parameters{{"Action", "AssumeRole"},
                                            {"Version", "2011-06-15"},
                                            {"RoleArn", role.arn},
                                            {"RoleSessionName", role.session_name},
                                            {"DurationSeconds", std::to_string(duration.count())}};
  if (!role.external_id.empty()) parameters.emplace_back("ExternalId", role.external_id);
  const auto operation = "AssumeRole " + role.arn + " with the credentials from " + caller.source;
  auto answer = co_await ask_sts(http, sts, caller, now, std::move(parameters), operation);
  if (!answer) co_return answer.error();
  co_return read_role_credentials(*answer, operation, "role " + role.arn + " by " + caller.source);
}

task<aws_result<std::string>> caller_identity(http_client& http, const sts_options& sts, const held_credentials& caller,
                                              seconds_clock now) {
  std::vector<sigv4::name_value> parameters{{"Action", "GetCallerIdentity"}, {"Version", "2011-06-15"}};
  const std::string operation = "GetCallerIdentity";
  auto answer = co_await ask_sts(http, sts, caller, now, std::move(parameters), operation);
  if (!answer) co_return answer.error();
  co_return read_caller_arn(*answer, operation);
}

credential_source_ptr make_assumed_role(credential_source_ptr caller, http_client& http, sts_options sts,
                                        role_options role, store_clock& clock) {
  return std::make_unique<assumed_role>(std::move(caller), http, std::move(sts), std::move(role), clock);
}
credential_source_ptr make_web_identity_credentials(const variables& v, http_client& http, sts_options sts) {
  return std::make_unique<web_identity>(v, http, std::move(sts));
}

} // namespace postern
