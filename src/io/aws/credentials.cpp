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

class first_source final : public credential_source {
public:
  explicit first_source(std::vector<credential_source_ptr> all) : all_(std::move(all)) {}
  task<result<held_credentials>> fetch() override {
    std::string tried;
    for (auto& one : all_) {
      auto got = co_await one->fetch();
      if (got || got.error().code != errc::not_found) co_return got;
      tried.append(tried.empty() ? "" : "; ").append(got.error().on);
    }
    co_return failure{errc::not_found, "no credentials for S3 anywhere: " + tried};
  }

private:
  const std::vector<credential_source_ptr> all_;
};

// 0.8 to 1.0 of it: nodes that began together do not renew together.
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
credential_source_ptr first_of(std::vector<credential_source_ptr> sources) {
  return std::make_unique<first_source>(std::move(sources));
}

// --- the cache --------------------------------------------------------------------------------------

credential_cache::credential_cache(credential_source_ptr source, std::chrono::seconds spare, utc_clock clock)
    : source_(std::move(source)), spare_(spare), clock_(std::move(clock)) {}

credentials_ptr credential_cache::current() const {
  std::lock_guard lock(mutex_);
  return usable({});
}

credentials_ptr credential_cache::usable(const std::string& unwanted) const {
  if (!current_ || current_->keys.access_key == unwanted) return nullptr;
  return !current_->expires || *current_->expires > clock_() ? current_ : nullptr;
}

task<result<credentials_ptr>> credential_cache::get() { return fly({}); }

task<result<credentials_ptr>> credential_cache::renew(std::string access_key) { return fly(std::move(access_key)); }

// Asks the source, or waits for whoever does so already, unless what is there will do.
task<result<credentials_ptr>> credential_cache::fly(std::string unwanted) {
  {
    std::unique_lock lock(mutex_);
    if (auto now = usable(unwanted)) co_return now;
    if (flying_) {
      lock.unlock();
      const auto join = [this, &unwanted](auto reply) {
        std::unique_lock again(mutex_);
        if (flying_) return void(waiting_.push_back(std::move(reply)));
        const auto landed = usable(unwanted);
        again.unlock();
        reply(landed ? result<credentials_ptr>(landed) : failure{errc::unavailable, "no credentials"});
      };
      co_return co_await reply_from<result<credentials_ptr>>(join);
    }
    flying_ = true;
  }
  result<credentials_ptr> got = failure{errc::cancelled, "fetching credentials"};
  const auto on_any_way_out = [](credential_cache* c) { c->land(failure{errc::cancelled, "fetching credentials"}); };
  std::unique_ptr<credential_cache, decltype(on_any_way_out)> guard(this, on_any_way_out);
  auto fetched = co_await source_->fetch();
  if (!fetched)
    got = fetched.error();
  else if (fetched->expires && *fetched->expires <= clock_())
    got = failure{errc::unavailable, fetched->source + " gave keys that ended " + iso8601(*fetched->expires) +
                                         "; is this machine's clock right?"};
  else
    got = std::make_shared<const held_credentials>(std::move(*fetched));
  (void)guard.release();
  land(got);
  co_return got;
}

void credential_cache::land(const result<credentials_ptr>& got) {
  std::vector<std::function<void(result<credentials_ptr>)>> waiting;
  {
    std::lock_guard lock(mutex_);
    flying_ = false;
    waiting.swap(waiting_);
    if (got) {
      current_ = *got;
      fetched_at_ = clock_();
    }
  }
  if (got) {
    renewals.add();
    expiry.set((*got)->expires ? (*got)->expires->time_since_epoch().count() : 0);
    log::info("credentials",
              {{"source", (*got)->source}, {"expires", (*got)->expires ? iso8601(*(*got)->expires) : "never"}});
  } else {
    failures.add();
  }
  for (auto& w : waiting) w(got);
}

seconds_clock credential_cache::renew_at(const held_credentials& h) const {
  const auto life = *h.expires - fetched_at_;
  return fetched_at_ + jittered(std::max(life / 2, life - spare_));
}

task<> credential_cache::keep_fresh() {
  sleep_.emplace(co_await asio::this_coro::executor);
  boost::system::error_code ec;
  for (auto pause = 1s; !stopped_;) {
    const auto now = current();
    const auto ending = now ? now->keys.access_key : std::string{};
    auto wait = pause;
    if (now && !now->expires)
      wait = 3600s;
    else if (now && renew_at(*now) > clock_())
      wait = renew_at(*now) - clock_();
    else if (auto got = co_await fly(ending); got) {
      wait = pause = 1s; // and then see how long these last
    } else {
      log::error("credentials cannot be renewed", {{"why", describe(got.error())}, {"old_ones_serve", now != nullptr}});
      pause = std::min(pause * 2, now ? 60s : 5s); // without any, nothing can be signed
    }
    if (stopped_) break;
    sleep_->expires_after(std::max(wait, 1s));
    co_await sleep_->async_wait(asio::redirect_error(use_task, ec));
  }
  sleep_.reset();
}

void credential_cache::stop() {
  stopped_ = true;
  if (sleep_) sleep_->cancel();
}

} // namespace postern
