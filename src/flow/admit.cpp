#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/base/text.hpp>
#include <postern/flow/admit.hpp>

namespace postern {
namespace {

// What follows "Bearer "; nothing when the scheme is another one (RFC 6750 §2.1).
std::optional<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() < scheme.size() || !iequals(authorization.substr(0, scheme.size()), scheme))
    return std::nullopt;
  return authorization.substr(scheme.size());
}

class api_key_link final : public admission_link {
public:
  explicit api_key_link(std::vector<api_key> keys) : keys_(std::move(keys)) {}

  task<result<std::optional<caller>>> recognize(request_credentials shown) const override {
    const auto token = bearer_token(shown.authorization);
    if (!token) co_return std::nullopt;
    const auto digest = sha256_hex(*token);
    const api_key* match = nullptr;
    for (const auto& k : keys_) // no early end: the time must not tell which key matched
      if (equal_constant_time(k.sha256, digest)) match = &k;
    if (!match) co_return std::nullopt;
    caller who;
    who.name = who.user = match->name;
    who.profiles = match->profiles;
    who.rights = caller_rights(caller_right::sign) | caller_right::read;
    co_return who;
  }

private:
  const std::vector<api_key> keys_;
};

class anonymous_link final : public admission_link {
public:
  task<result<std::optional<caller>>> recognize(request_credentials shown) const override {
    if (!shown.authorization.empty()) co_return std::nullopt;
    caller who;
    who.profiles = {"*"};
    // Who signs may also see what was signed.
    who.rights = caller_rights(caller_right::sign) | caller_right::read;
    co_return who;
  }
};

} // namespace

admission_link_ptr make_api_key_link(std::vector<api_key> keys) {
  return std::make_unique<api_key_link>(std::move(keys));
}

admission_link_ptr make_anonymous_link() { return std::make_unique<anonymous_link>(); }

task<result<caller>> admitter::admit(request_credentials shown) const {
  for (const auto& link : links_) {
    auto recognized = co_await link->recognize(shown);
    if (!recognized) co_return recognized.error();
    if (*recognized) co_return std::move(**recognized);
  }
  if (shown.authorization.empty())
    co_return failure{errc::unauthorized, "send an API key as Authorization: Bearer KEY"};
  if (!bearer_token(shown.authorization))
    co_return failure{errc::unauthorized, "the Authorization scheme must be Bearer"};
  co_return failure{errc::unauthorized, "the API key is unknown"};
}

} // namespace postern
