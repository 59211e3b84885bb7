#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/io/aws/credentials.hpp>

#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <random>

namespace postern {
namespace {

using namespace std::chrono_literals;

constexpr const char *renewals = "postern_credentials_renewals_total",
                     *renewals_help = "Times that S3 credentials were fetched";

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

credential_cache::credential_cache(credential_source_ptr source, std::chrono::seconds spare, utc_clock clock,
                                   const std::string& store)
    : source_(std::move(source)), spare_(spare), clock_(std::move(clock)), store_(store),
      expiry_("postern_credentials_expire_seconds",
              "When the S3 credentials in use expire, in seconds since 1970; 0: never", "store=\"" + store + "\""),
      renewed_(renewals, renewals_help, "store=\"" + store + "\",outcome=\"ok\""),
      failed_(renewals, renewals_help, "store=\"" + store + "\",outcome=\"failed\"") {}

credentials_ptr credential_cache::current() const {
  std::lock_guard lock(mutex_);
  return usable({});
}

credentials_ptr credential_cache::usable(const std::string& rejected_key) const {
  if (!current_ || current_->keys.access_key == rejected_key) return nullptr;
  return !current_->expires || *current_->expires > clock_() ? current_ : nullptr;
}

task<result<credentials_ptr>> credential_cache::get(clock_point by) { return get_other_than({}, by); }

task<result<credentials_ptr>> credential_cache::renew(std::string access_key, clock_point by) {
  return get_other_than(std::move(access_key), by);
}

// Answers the cached credentials where they are usable. Otherwise begins a fetch, or shares the fetch that runs
// already.
task<result<credentials_ptr>> credential_cache::get_other_than(std::string rejected_key, clock_point by) {
  {
    std::lock_guard lock(mutex_);
    if (auto cached = usable(rejected_key)) co_return cached;
  }
  const auto executor = co_await asio::this_coro::executor;
  timer limit(executor);
  limit.expires_at(std::min(by, std::chrono::steady_clock::now() + 1h)); // the fetch has deadlines of its own
  limit.async_wait([this, id = &limit](const boost::system::error_code& ec) {
    if (!ec) give_up(id);
  });
  const auto wait_for_fetch = [this, &rejected_key, &executor, id = &limit](const auto& reply) {
    std::unique_lock lock(mutex_);
    const auto cached = usable(rejected_key); // a fetch has ended in between
    bool begins = false;
    if (!cached) {
      waiting_.push_back({id, reply});
      begins = !std::exchange(is_fetching_, true);
    }
    lock.unlock();
    if (cached) reply(result<credentials_ptr>(cached));
    // The fetch is not this coroutine's: it may be needed by calls with a later deadline.
    if (begins) cleanup_group(executor).start(fetch());
  };
  auto got = co_await reply_from<result<credentials_ptr>>(wait_for_fetch);
  limit.cancel();
  co_return got;
}

void credential_cache::give_up(const void* id) {
  std::unique_lock lock(mutex_);
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [id](const waiter& w) { return w.id == id; });
  if (found == waiting_.end()) return; // the fetch ended just before
  const auto reply = std::move(found->reply);
  waiting_.erase(found);
  lock.unlock();
  reply(failure{errc::unavailable, "fetching credentials takes too long"});
}

task<> credential_cache::fetch() {
  // When this coroutine is destroyed during the fetch, the calls that wait must still be answered.
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
}

void credential_cache::finish_fetch(const result<credentials_ptr>& fetched) {
  std::vector<waiter> waiting;
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
    renewed_.add();
    expiry_.set(expires ? expires->time_since_epoch().count() : 0);
    log::info("credentials fetched",
              {{"store", store_}, {"source", source}, {"expires", expires ? iso8601(*expires) : "never"}});
  } else {
    failed_.add();
  }
  for (auto& w : waiting) w.reply(fetched);
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
    else if (auto renewed = co_await get_other_than(old_key, clock_point::max()); renewed) {
      wait = pause = 1s; // the next round computes when to renew these
    } else {
      log::error("credentials cannot be renewed",
                 {{"store", store_},
                  {"why", describe(renewed.error())},
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
