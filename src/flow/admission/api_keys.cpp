#include <postern/base/digest.hpp>
#include <postern/base/encoding.hpp>
#include <postern/flow/admission/api_keys.hpp>

namespace postern {
namespace {

class api_key_link final : public admission_link {
public:
  api_key_link(std::vector<api_key> keys, std::function<seconds_clock()> clock)
      : keys_(std::move(keys)), clock_(std::move(clock)) {}

  task<result<std::optional<caller>>> recognize(request_credentials shown) const override {
    const auto token = credentials_of(shown.authorization, "Bearer");
    if (!token) co_return std::nullopt;
    const auto digest = sha256_hex(*token);
    const api_key* match = nullptr;
    for (const auto& k : keys_) // compare all keys, so that timing does not reveal which one matched
      if (equal_constant_time(k.sha256, digest)) match = &k;
    if (!match) co_return std::nullopt;
    if (match->expires && *match->expires <= clock_())
      co_return failure{errc::unauthorized, "the API key expired at " + iso8601(*match->expires)};
    caller who;
    who.name = who.user = match->name;
    who.profiles = match->profiles;
    who.rights = match->rights;
    co_return who;
  }

private:
  const std::vector<api_key> keys_;
  const std::function<seconds_clock()> clock_;
};

} // namespace

admission_link_ptr make_api_key_link(std::vector<api_key> keys, std::function<seconds_clock()> clock) {
  return std::make_unique<api_key_link>(std::move(keys), std::move(clock));
}

} // namespace postern
