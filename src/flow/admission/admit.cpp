#include <postern/base/text.hpp>
#include <postern/flow/admission/admit.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::string_view why_cookies_are_ignored =
    "the cookies are ignored: the request is not known to come from a page of server.allowed_origins or of this server";

class anonymous_link final : public admission_link {
public:
  task<result<std::optional<caller>>> recognize(request_credentials shown) const override {
    if (shown.has_authorization) co_return std::nullopt;
    caller who;
    who.profiles = {"*"};
    // A caller who may sign may also read the upload.
    who.rights = default_rights;
    co_return who;
  }
};

} // namespace

std::optional<std::string_view> credentials_of(std::string_view authorization, std::string_view scheme) {
  const auto n = scheme.size();
  if (authorization.size() <= n || authorization[n] != ' ' || !iequals(authorization.substr(0, n), scheme))
    return std::nullopt;
  return trim(authorization.substr(n + 1));
}

admission_link_ptr make_anonymous_link() { return std::make_unique<anonymous_link>(); }

void admitter::replace(std::vector<admission_link_ptr> links) {
  auto made = std::make_shared<const link_list>(std::move(links));
  std::lock_guard lock(mutex_);
  links_ = std::move(made);
}

std::shared_ptr<const admitter::link_list> admitter::current() const {
  std::lock_guard lock(mutex_);
  return links_;
}

task<result<caller>> admitter::admit(request_credentials shown) const {
  const auto links = current();
  for (const auto& link : *links) {
    auto recognized = co_await link->recognize(shown);
    if (!recognized) co_return recognized.error();
    if (*recognized) co_return std::move(**recognized);
  }
  const auto takes_cookies = [](const auto& link) { return link->takes_cookies(); };
  if (!shown.has_authorization && shown.is_cookie_ignored && std::any_of(links->begin(), links->end(), takes_cookies))
    co_return failure{errc::unauthorized, std::string(why_cookies_are_ignored)};
  if (!shown.has_authorization)
    co_return failure{errc::unauthorized, "send an API key or a token as Authorization: Bearer …"};
  if (!credentials_of(shown.authorization, "Bearer"))
    co_return failure{errc::unauthorized, "the Authorization scheme must be Bearer"};
  co_return failure{errc::unauthorized, "the credentials are neither a known API key nor a token (JWT)"};
}

} // namespace postern
