#include <postern/base/digest.hpp>
#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/io/auth/token_keys.hpp>
#include <postern/io/shared/shared_call.hpp>

#include <mutex>
#include <optional>
#include <utility>

namespace postern {
namespace {

using namespace std::chrono_literals;

metrics::counter fetched("postern_jwks_fetches_total", "Fetches of the keys for tokens", "outcome=\"ok\"");
metrics::counter failed("postern_jwks_fetches_total", "Fetches of the keys for tokens", "outcome=\"failed\"");

class fixed_keys final : public token_keys {
public:
  explicit fixed_keys(std::vector<token_key> keys)
      : keys_(std::make_shared<const std::vector<token_key>>(std::move(keys))) {}
  result<list> current() const override { return keys_; }
  task<result<list>> refetch() override { co_return keys_; }
  task<> keep_fresh() override { co_return; }

private:
  const list keys_;
};

class jwks final : public token_keys {
public:
  jwks(http_client& http, jwks_options options) : http_(http), options_(std::move(options)) {}

  result<list> current() const override {
    std::lock_guard lock(mutex_);
    if (!keys_) return failure{errc::unavailable, "the keys for tokens have not been fetched yet"};
    if (options_.clock() - fetched_at_ > options_.max_age)
      return failure{errc::unavailable,
                     "the keys for tokens are older than " + std::to_string(options_.max_age.count()) + " hours"};
    return keys_;
  }

  task<result<list>> refetch() override {
    co_return co_await fetches_.join_unless([this] { return too_soon(); }, [this] { return fetch_and_keep(); });
  }

  task<> keep_fresh() override {
    if (is_due()) (void)co_await fetches_.join([this] { return fetch_and_keep(); });
  }

private:
  // The current keys, when an unknown key must not cause a fetch now. Else notes the time of that fetch.
  std::optional<result<list>> too_soon() {
    const auto now = options_.clock();
    std::unique_lock lock(mutex_);
    const bool waits =
        is_failing_ ? now < *tried_at_ + options_.retry : refetched_at_ && now < *refetched_at_ + options_.pause;
    if (!waits) refetched_at_ = now;
    lock.unlock();
    return waits ? std::optional(current()) : std::nullopt;
  }

  bool is_due() const {
    std::lock_guard lock(mutex_);
    return !tried_at_ || options_.clock() >= *tried_at_ + (is_failing_ ? options_.retry : options_.refresh);
  }

  task<result<list>> fetch_and_keep() {
    note_try();
    auto text = co_await fetch();
    if (auto kept = text ? keep(*text) : result<void>(text.error()); !kept) note_failure(kept.error());
    co_return current();
  }

  void note_try() {
    std::lock_guard lock(mutex_);
    tried_at_ = options_.clock();
  }

  task<result<std::string>> fetch() {
    http_request r;
    r.to = options_.url.server;
    r.target = options_.url.target;
    r.fields = {{"Accept", "application/jwk-set+json, application/json"}};
    r.connect_timeout = 2s;
    r.idle_timeout = 3s;
    r.deadline = std::chrono::steady_clock::now() + 5s;
    auto answer = co_await http_.send(r, {}, max_key_set);
    if (!answer) co_return answer.error();
    if (answer->status != 200)
      co_return failure{errc::unavailable, "the server answered " + std::to_string(answer->status) + ", not 200"};
    co_return std::move(answer->body);
  }

  // Only one fetch runs at a time, so nobody else changes the keys meanwhile.
  result<void> keep(const std::string& text) {
    const auto digest = sha256(text);
    if (digest != digest_) {
      auto read = read_key_set(text, shared_secrets::refused);
      if (!read) return read.error();
      for (const auto& why : read->left_out) log::warning("key for tokens ignored", {{"why", why}});
      log::info("keys for tokens fetched", {{"from", options_.url.server.origin()}, {"keys", read->keys.size()}});
      digest_ = digest;
      std::lock_guard lock(mutex_);
      keys_ = std::make_shared<const std::vector<token_key>>(std::move(read->keys));
    }
    fetched.add();
    std::lock_guard lock(mutex_);
    fetched_at_ = options_.clock();
    is_failing_ = false;
    return {};
  }

  void note_failure(const failure& why) {
    failed.add();
    std::unique_lock lock(mutex_);
    const bool was_failing = std::exchange(is_failing_, true), has_keys = keys_ != nullptr;
    lock.unlock();
    if (was_failing) return; // one line for an outage
    log::warning("keys for tokens cannot be fetched",
                 {{"from", options_.url.server.origin()},
                  {"why", describe(why)},
                  {"meanwhile", has_keys ? "the keys of the last fetch are used" : "no token is accepted"}});
  }

  http_client& http_;
  const jwks_options options_;
  shared_call<list> fetches_;
  sha256_bytes digest_{}; // of the text that had the keys
  mutable std::mutex mutex_;
  list keys_; // null: never fetched
  clock_point fetched_at_{};
  std::optional<clock_point> tried_at_, refetched_at_; // the last fetch, and the last one for an unknown key
  bool is_failing_ = false;
};

} // namespace

token_keys_ptr make_fixed_keys(std::vector<token_key> keys) { return std::make_unique<fixed_keys>(std::move(keys)); }

token_keys_ptr make_jwks(http_client& http, jwks_options options) {
  return std::make_unique<jwks>(http, std::move(options));
}

} // namespace postern
