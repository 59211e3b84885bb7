#include <postern/base/text.hpp>
#include <postern/flow/admit.hpp>

namespace postern {
namespace {

class anonymous_link final : public admission_link {
public:
  task<result<std::optional<caller>>> recognize(request_credentials shown) const override {
    if (!shown.authorization.empty()) co_return std::nullopt;
    caller who;
    who.profiles = {"*"};
    // A caller who may sign may also read the upload.
    who.rights = caller_rights(caller_right::sign) | caller_right::read;
    co_return who;
  }
};

} // namespace

std::optional<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() < scheme.size() || !iequals(authorization.substr(0, scheme.size()), scheme))
    return std::nullopt;
  return authorization.substr(scheme.size());
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
