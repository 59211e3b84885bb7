#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/io/aws/credentials.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <random>

namespace postern {
namespace {

using namespace std::chrono_literals;

metrics::gauge expiry("postern_credentials_expire_seconds",
                      "When the S3 credentials in use expire, in seconds since 1970; 0: never", "");
metrics::counter renewals("postern_credentials_renewals_total", "Times that S3 credentials were fetched",
                          "outcome=\"ok\"");
metrics::counter failures("postern_credentials_renewals_total", "Times that S3 credentials were fetched",
                          "outcome=\"failed\"");

class static_credentials final : public credential_source {
public:
  explicit static_credentials(sigv4::credentials keys) : keys_(std::move(keys)) {}
  task<result<held_credentials>> fetch() override { co_return held_credentials{keys_, std::nullopt, "configuration"}; }

private:
  const sigv4::credentials keys_;
};

class environment_credentials final : public credential_source {
public:
  explicit environment_credentials(const variables& v) {
    const auto get = [&](const char* name) {
      const auto found = v.find(name);
      return found == v.end() ? std::string{} : found->second;
    };
    keys_ = {get("AWS_ACCESS_KEY_ID"), secret(get("AWS_SECRET_ACCESS_KEY")), get("AWS_SESSION_TOKEN")};
  }
  task<result<held_credentials>> fetch() override {
    if (keys_.access_key.empty() && keys_.secret_key.empty())
      co_return failure{errc::not_found, "environment: no AWS_ACCESS_KEY_ID"};
    if (keys_.access_key.empty() || keys_.secret_key.empty())
      co_return failure{errc::invalid_argument,
                        "environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set"};
    co_return held_credentials{keys_, std::nullopt, "environment"};
  }

private:
  sigv4::credentials keys_;
};

class credential_chain final : public credential_source {
public:
  explicit credential_chain(std::vector<credential_source_ptr> sources) : sources_(std::move(sources)) {}
  task<result<held_credentials>> fetch() override {
    std::string places;
    for (auto& source : sources_) {
      auto fetched = co_await source->fetch();
      if (fetched || fetched.error().code != errc::not_found) co_return fetched;
      places.append(places.empty() ? "" : "; ").append(fetched.error().on);
    }
    co_return failure{errc::not_found, "no credentials for S3 anywhere: " + places};
  }

private:
  const std::vector<credential_source_ptr> sources_;
};

// 0.8 to 1.0 of `s`, so that nodes that started together do not renew together.
std::chrono::seconds jittered(std::chrono::seconds s) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::chrono::seconds(s.count() * (800 + static_cast<std::int64_t>(random() % 200)) / 1000);
}

} // namespace

credential_source_ptr make_static_credentials(sigv4::credentials keys) {
  return std::make_unique<static_credentials>(std::move(keys));
}
credential_source_ptr make_environment_credentials(const variables& v) {
  return std::make_unique<environment_credentials>(v);
}
credential_source_ptr make_credential_chain(std::vector<credential_source_ptr> sources) {
  return std::make_unique<credential_chain>(std::move(sources));
}

// --- the cache --------------------------------------------------------------------------------------

credential_cache::credential_cache(credential_source_ptr source, std::chrono::seconds spare, utc_clock clock)
    : source_(std::move(source)), spare_(spare), clock_(std::move(clock)) {}

credentials_ptr credential_cache::current() const {
  std::lock_guard lock(mutex_);
  return usable({});
}

credentials_ptr credential_cache::usable(const std::string& rejected_key) const {
  if (!current_ || current_->keys.access_key == rejected_key) return nullptr;
  return !current_->expires || *current_->expires > clock_() ? current_ : nullptr;
}

task<result<credentials_ptr>> credential_cache::get() { return get_other_than({}); }

task<result<credentials_ptr>> credential_cache::renew(std::string access_key) {
  return get_other_than(std::move(access_key));
}

// Answers the cached credentials where they are usable. Otherwise fetches, or shares the fetch that runs already.
task<result<credentials_ptr>> credential_cache::get_other_than(std::string rejected_key) {
  {
    std::unique_lock lock(mutex_);
    if (auto cached = usable(rejected_key)) co_return cached;
    if (is_fetching_) {
      lock.unlock();
      const auto wait_for_fetch = [this, &rejected_key](auto reply) {
        std::unique_lock again(mutex_);
        if (is_fetching_) return void(waiting_.push_back(std::move(reply)));
        const auto fetched = usable(rejected_key); // the fetch has ended in between
        again.unlock();
        reply(fetched ? result<credentials_ptr>(fetched)
                      : failure{errc::unavailable, "fetching credentials failed a moment ago"});
      };
      co_return co_await reply_from<result<credentials_ptr>>(wait_for_fetch);
    }
    is_fetching_ = true;
  }
  // When this coroutine is destroyed during the fetch, the calls that share it must still be answered.
  const auto cancel = [](credential_cache* c) {
    c->finish_fetch(failure{errc::cancelled, "fetching credentials was cancelled"});
  };
  std::unique_ptr<credential_cache, decltype(cancel)> cancel_guard(this, cancel);
  result<credentials_ptr> got = failure{};
  auto fetched = co_await source_->fetch();
  if (!fetched)
    got = fetched.error();
  else if (fetched->expires && *fetched->expires <= clock_())
    got = failure{errc::unavailable, fetched->source + " gave credentials that expired at " +
                                         iso8601(*fetched->expires) + "; check this machine's clock"};
  else
    got = std::make_shared<const held_credentials>(std::move(*fetched));
  (void)cancel_guard.release();
  finish_fetch(got);
  co_return got;
}

void credential_cache::finish_fetch(const result<credentials_ptr>& fetched) {
  std::vector<std::function<void(result<credentials_ptr>)>> waiting;
  {
    std::lock_guard lock(mutex_);
    is_fetching_ = false;
    waiting.swap(waiting_);
    if (fetched) {
      current_ = *fetched;
      fetched_at_ = clock_();
    }
  }
  if (fetched) {
    const auto& [keys, expires, source] = **fetched;
    renewals.add();
    expiry.set(expires ? expires->time_since_epoch().count() : 0);
    log::info("credentials fetched", {{"source", source}, {"expires", expires ? iso8601(*expires) : "never"}});
  } else {
    failures.add();
  }
  for (auto& reply : waiting) reply(fetched);
}

seconds_clock credential_cache::renew_at(const held_credentials& h) const {
  const auto life = *h.expires - fetched_at_;
  return fetched_at_ + jittered(std::max(life / 2, life - spare_));
}

task<> credential_cache::keep_fresh() {
  sleep_.emplace(co_await asio::this_coro::executor);
  boost::system::error_code ec;
  for (auto pause = 1s; !is_stopped_;) {
    const auto cached = current();
    const auto old_key = cached ? cached->keys.access_key : std::string{};
    auto wait = pause;
    if (cached && !cached->expires)
      wait = 3600s;
    else if (cached && renew_at(*cached) > clock_())
      wait = renew_at(*cached) - clock_();
    else if (auto renewed = co_await get_other_than(old_key); renewed) {
      wait = pause = 1s; // the next round computes when to renew these
    } else {
      log::error("credentials cannot be renewed",
                 {{"why", describe(renewed.error())},
                  {"still_valid_until", cached ? iso8601(*cached->expires) : "there are none"}});
      pause = std::min(pause * 2, cached ? 60s : 5s); // without credentials nothing can be signed
    }
    if (is_stopped_) break;
    sleep_->expires_after(std::max(wait, 1s));
    co_await sleep_->async_wait(asio::redirect_error(use_task, ec));
  }
  sleep_.reset();
}

void credential_cache::stop() {
  is_stopped_ = true;
  if (sleep_) sleep_->cancel();
}

} // namespace postern
