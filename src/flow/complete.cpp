#include <postern/base/log.hpp>
#include <postern/flow/complete.hpp>

#include <algorithm>

namespace postern {
namespace {

constexpr std::string_view filename_variable = "${filename}";

// Is this object the one that the claim describes?
result<void> examine(const claim& c, const stored_object& found, const std::optional<std::string>& etag) {
  const auto& user = found.meta.user;
  const auto id = std::find_if(user.begin(), user.end(), [](const auto& m) { return m.first == "postern-id"; });
  if (id == user.end() || id->second != c.id) return failure{errc::conflict, "the object was made by another upload"};
  if (found.size < c.length.min || found.size > c.length.max)
    return failure{errc::conflict, "the object's size is not what the policy allowed"};
  if (etag && bare_etag(*etag) != found.etag) return failure{errc::conflict, "the object has another ETag"};
  return {};
}

} // namespace

std::string_view bare_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return etag;
}

bool names(const claim& c, std::string_view key) {
  const std::string_view claimed = c.key;
  if (!claimed.ends_with(filename_variable)) return key == claimed;
  const auto prefix = claimed.substr(0, claimed.size() - filename_variable.size());
  return key.size() > prefix.size() && key.starts_with(prefix);
}

upload upload_of(const claim& c, std::string key) {
  upload u;
  u.id = c.id;
  u.profile = c.profile;
  u.user = c.user;
  u.bucket = c.bucket;
  u.key = std::move(key);
  u.min_size = c.length.min;
  u.max_size = c.length.max;
  u.expires_at = c.expires;
  return u;
}

task<result<completed>> completing::by_redirect(std::string token, redirect_parameters said, millis_clock now) {
  auto c = own_.read_claim(token, std::chrono::floor<std::chrono::seconds>(now));
  if (!c) co_return c.error();
  if (said.bucket && *said.bucket != c->bucket) co_return failure{errc::forbidden, "the claim names another bucket"};
  if (said.key && !names(*c, *said.key)) co_return failure{errc::forbidden, "the claim names another key"};

  auto known = co_await ledger_.find(c->id);
  if (!known && known.error().code != errc::not_found) co_return known.error();
  if (known && known->state == upload_state::completed) {
    // Recorded already: a reload, or the fallback recorded it before it redirected. Only another ETag is news.
    if (!said.etag || bare_etag(*said.etag) == known->etag)
      co_return completed{std::move(*c), std::move(*known), false};
  }
  std::string key = said.key ? *said.key : known ? known->key : c->key;
  if (!said.key && key.ends_with(filename_variable))
    co_return failure{errc::bad_request, "key is missing from the query"};
  co_return co_await confirm(std::move(*c), std::move(key), std::move(said.etag), now);
}

task<result<completed>> completing::confirm(claim c, std::string key, std::optional<std::string> etag,
                                            millis_clock now) {
  object_name name{c.bucket, key};
  auto found = co_await store_.head(std::move(name));
  if (!found) {
    const auto code = found.error().code;
    if (code == errc::object_absent) co_return found.error();
    log::warning("store cannot be asked", {{"upload", c.id}, {"why", describe(found.error())}});
    auto as_known = upload_of(c, std::move(key));
    co_return completed{std::move(c), std::move(as_known), true};
  }
  if (auto right = examine(c, *found, etag); !right) co_return right.error();

  completion fact;
  fact.of = upload_of(c, std::move(key));
  fact.size = found->size;
  fact.etag = found->etag;
  fact.crc32c = found->crc32c;
  fact.at = now;
  fact.by = evidence::redirect;
  auto recorded = co_await ledger_.confirm(std::move(fact));
  if (!recorded) co_return recorded.error();
  co_return completed{std::move(c), std::move(*recorded), false};
}

} // namespace postern
