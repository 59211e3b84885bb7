#include <postern/base/digest.hpp>
#include <postern/flow/admission/jwt_callers.hpp>
#include <postern/flow/admission/remembered_callers.hpp>

#include <algorithm>
#include <utility>

namespace postern {
namespace {

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
    if (auto max = bytes_claim(claims, options_.max_size_claim); !max)
      return max.error();
    else
      who.limits.max_size = *max;
    if (auto all = bytes_claim(claims, options_.quota_claim); !all)
      return all.error();
    else
      who.limits.quota = *all;
    return who;
  }

  // Nothing: the token has no such claim, or none is configured.
  static result<std::optional<std::uint64_t>> bytes_claim(const token_claims& claims, const std::string& name) {
    const auto* claim = name.empty() ? nullptr : claims.payload.find(name);
    if (!claim) return std::optional<std::uint64_t>{};
    const auto* bytes = claim->if_int();
    if (!bytes || *bytes < 0)
      return failure{errc::unauthorized, "the token's claim " + name + " is no number of bytes"};
    return std::optional(static_cast<std::uint64_t>(*bytes));
  }

  token_keys& keys_;
  const jwt_link_options options_;
  mutable remembered_callers verified_; // valid for the keys that verified them
};

} // namespace

admission_link_ptr make_jwt_link(token_keys& keys, jwt_link_options options) {
  return std::make_unique<jwt_link>(keys, std::move(options));
}

} // namespace postern
