#include <postern/base/digest.hpp>
#include <postern/base/text.hpp>
#include <postern/flow/admission/forward_callers.hpp>
#include <postern/flow/admission/remembered_callers.hpp>

#include <algorithm>
#include <utility>

namespace postern {
namespace {

// The parts of a list with blanks or commas between them.
std::vector<std::string> parts_of(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const auto end = std::min(list.find_first_of(" ,"), list.size());
    if (end > 0) parts.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return parts;
}

failure wrong(const std::string& header, const std::string& what) {
  return {errc::unavailable, "the answer of auth.forward.url: " + header + " " + what};
}

// "max_size=10485760, quota=1073741824". An unknown limit is an error: ignoring it could admit larger uploads.
result<caller_limits> limits_in(const std::string& header, std::string_view value) {
  caller_limits limits;
  for (const auto& part : parts_of(value)) {
    const auto equals = std::min(part.find('='), part.size());
    const auto name = std::string_view(part).substr(0, equals);
    auto* limit = name == "max_size" ? &limits.max_size : name == "quota" ? &limits.quota : nullptr;
    if (!limit) return wrong(header, "has " + quote(part) + "; the limits are max_size=BYTES and quota=BYTES");
    if (*limit) return wrong(header, "names " + std::string(name) + " twice");
    const auto bytes = parse_number(std::string_view(part).substr(std::min(equals + 1, part.size())));
    if (!bytes) return wrong(header, "has no number of bytes in " + quote(part));
    *limit = bytes;
  }
  return limits;
}

std::ptrdiff_t count_of(const http_response& answer, std::string_view name) {
  return std::count_if(answer.fields.begin(), answer.fields.end(), [&](const auto& f) { return f.first == name; });
}

class forward_link final : public admission_link {
public:
  forward_link(forward_auth& application, forward_link_options options)
      : application_(application), options_(std::move(options)) {}

  task<result<std::optional<caller>>> recognize(request_credentials shown) const override {
    auto question = question_for(shown);
    if (question.empty()) co_return std::nullopt;
    const auto digest = digest_of(question);
    const auto now = options_.clock();
    if (auto known = admitted_.find(digest, nullptr, now)) co_return std::move(*known);
    std::string client(shown.client_network);
    const auto answer = co_await application_.ask(std::move(question), std::move(client));
    if (!answer) co_return answer.error();
    if (answer->status == 401) co_return failure{errc::unauthorized, "the application does not accept the credentials"};
    if (answer->status == 403) co_return failure{errc::forbidden, "the application does not allow uploads"};
    auto who = caller_of(*answer);
    if (!who) co_return who.error();
    if (options_.cache.count()) admitted_.add(digest, nullptr, *who, now + options_.cache, now);
    co_return std::move(*who);
  }

  bool takes_cookies() const override { return options_.sends_cookie; }

private:
  // Empty when the request shows no credentials that are sent.
  forward_auth::fields question_for(const request_credentials& shown) const {
    forward_auth::fields q;
    if (options_.sends_cookie && !shown.cookie.empty()) q.emplace_back("Cookie", shown.cookie);
    if (options_.sends_authorization && !shown.authorization.empty())
      q.emplace_back("Authorization", shown.authorization);
    if (q.empty()) return q;
    q.emplace_back("X-Forwarded-Method", shown.method);
    q.emplace_back("X-Forwarded-Proto", options_.scheme);
    q.emplace_back("X-Forwarded-Host", options_.host);
    q.emplace_back("X-Forwarded-Uri",
                   std::string(shown.path).append(shown.query.empty() ? "" : "?").append(shown.query));
    q.emplace_back("X-Forwarded-For", shown.client_address);
    return q;
  }

  // Of everything that the application sees, because its answer may depend on all of it.
  static sha256_bytes digest_of(const forward_auth::fields& question) {
    std::string all;
    for (const auto& [name, value] : question) all.append(name).append(":").append(value).append("\n");
    return sha256(all);
  }

  result<caller> caller_of(const http_response& answer) const {
    for (const auto& name : {options_.user_header, options_.profiles_header, options_.limits_header})
      if (count_of(answer, name) > 1) return wrong(name, "is there twice");
    caller who;
    who.name = "forward";
    who.user = answer.field(options_.user_header);
    if (who.user.empty()) return wrong(options_.user_header, "is missing; it names the user");
    if (const auto why = why_no_key_part(who.user); !why.empty()) return wrong(options_.user_header, why);
    const auto& taken = options_.other_users;
    if (std::find(taken.begin(), taken.end(), who.user) != taken.end())
      return failure{errc::forbidden, "the user's name is that of an API key"};
    who.rights = default_rights;
    who.profiles = {"*"};
    if (!options_.profiles_header.empty()) who.profiles = parts_of(answer.field(options_.profiles_header));
    if (options_.limits_header.empty()) return who;
    auto limits = limits_in(options_.limits_header, answer.field(options_.limits_header));
    if (!limits) return limits.error();
    who.limits = *limits;
    return who;
  }

  forward_auth& application_;
  const forward_link_options options_;
  mutable remembered_callers admitted_;
};

} // namespace

admission_link_ptr make_forward_link(forward_auth& application, forward_link_options options) {
  return std::make_unique<forward_link>(application, std::move(options));
}

} // namespace postern
