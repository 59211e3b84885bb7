#include <postern/base/digest.hpp>
#include <postern/flow/admission/jwt_callers.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace postern {
namespace {

constexpr std::size_t max_remembered = 10'000;

// Callers by the hash of their tokens, so that a token is verified once. Valid only for the keys that verified them:
// new keys empty it.
class verified_tokens {
public:
  std::optional<caller> find(const sha256_bytes& token, const token_keys::list& keys, seconds_clock now) {
    std::lock_guard lock(mutex_);
    if (keys != keys_) return std::nullopt;
    const auto found = callers_.find(token);
    if (found == callers_.end() || found->second.expires <= now) return std::nullopt;
    return found->second.who;
  }

  void add(const sha256_bytes& token, const token_keys::list& keys, const caller& who, seconds_clock expires,
           seconds_clock now) {
    std::lock_guard lock(mutex_);
    if (keys != std::exchange(keys_, keys)) callers_.clear();
    if (callers_.size() >= max_remembered) {
      std::erase_if(callers_, [now](const auto& c) { return c.second.expires <= now; });
      // Verifying again costs less than an order of use. Half of the room is free then, so this is rare.
      if (callers_.size() > max_remembered / 2) callers_.clear();
    }
    callers_.insert_or_assign(token, remembered{who, expires});
  }

private:
  struct remembered {
    caller who;
    seconds_clock expires;
  };
  std::mutex mutex_;
  token_keys::list keys_;
  std::map<sha256_bytes, remembered> callers_;
};

// The names in a list of texts, or in one text with blanks between them (as in "scope", RFC 8693 §4.2).
std::vector<std::string> names_in(const json_value& claim) {
  std::vector<std::string> names;
  if (const auto* items = claim.if_array()) {
    for (const auto& item : *items)
      if (const auto* name = item.if_string()) names.push_back(*name);
  } else if (const auto* text = claim.if_string()) {
    for (std::size_t at = 0, end = 0; at < text->size(); at = end + 1) {
      end = std::min(text->find(' ', at), text->size());
      if (end > at) names.push_back(text->substr(at, end - at));
    }
  }
  return names;
}

class jwt_link final : public admission_link {
public:
  jwt_link(token_keys& keys, jwt_link_options options) : keys_(keys), options_(std::move(options)) {}

  task<result<std::optional<caller>>> recognize(request_credentials shown) const override {
    const auto token = credentials_of(shown.authorization, "Bearer");
    if (!token || !is_like_a_token(*token)) co_return std::nullopt;
    const auto now = options_.clock();
    auto keys = keys_.current();
    const auto digest = sha256(*token);
    if (keys)
      if (auto known = verified_.find(digest, *keys, now)) co_return std::move(*known);
    const auto read = read_token(*token);
    if (!read) co_return read.error();
    if (options_.rules.allows(read->alg()) && (!keys || !has_key_for(*read, **keys))) keys = co_await keys_.refetch();
    if (!keys) co_return keys.error();
    const auto claims = verify_token(*read, **keys, options_.rules, now);
    if (!claims) co_return claims.error();
    auto who = caller_of(*claims);
    if (!who) co_return who.error();
    verified_.add(digest, *keys, *who, claims->expires_at, now);
    co_return std::move(*who);
  }

private:
  // An encrypted token has five parts. It is refused as such.
  static bool is_like_a_token(std::string_view text) {
    const auto dots = std::count(text.begin(), text.end(), '.');
    return dots == 2 || dots == 4;
  }

  result<caller> caller_of(const token_claims& claims) const {
    const auto& taken = options_.other_users;
    if (std::find(taken.begin(), taken.end(), claims.subject) != taken.end())
      return failure{errc::forbidden, "the token's sub is the name of an API key"};
    caller who;
    who.name = "jwt";
    who.user = claims.subject;
    who.rights = default_rights;
    who.profiles = {"*"};
    if (!options_.profiles_claim.empty()) {
      const auto* named = claims.payload.find(options_.profiles_claim);
      who.profiles = named ? names_in(*named) : std::vector<std::string>{};
    }
    if (const auto* max = options_.max_size_claim.empty() ? nullptr : claims.payload.find(options_.max_size_claim)) {
      const auto* bytes = max->if_int();
      if (!bytes || *bytes < 0)
        return failure{errc::unauthorized, "the token's claim " + options_.max_size_claim + " is no number of bytes"};
      who.limits.max_size = static_cast<std::uint64_t>(*bytes);
    }
    return who;
  }

  token_keys& keys_;
  const jwt_link_options options_;
  mutable verified_tokens verified_;
};

} // namespace

admission_link_ptr make_jwt_link(token_keys& keys, jwt_link_options options) {
  return std::make_unique<jwt_link>(keys, std::move(options));
}

} // namespace postern
