#include <postern/base/metrics.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/aws/sns.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <utility>

namespace postern {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t max_cached = 16; // a few regions, each with the certificates of a year
constexpr std::size_t max_certificate_bytes = 32 << 10;
constexpr std::size_t max_confirmation_bytes = 64 << 10;
constexpr int max_fetches = 32; // at once: anyone can send a message that names a certificate to fetch

metrics::counter fetched("postern_sns_certificates_total", "Signing certificates fetched from SNS", "");

// Counts one fetch as long as it runs.
struct running_fetch {
  explicit running_fetch(std::atomic<int>& all) : count(all), others(count.fetch_add(1)) {}
  running_fetch(const running_fetch&) = delete;
  running_fetch& operator=(const running_fetch&) = delete;
  ~running_fetch() { --count; }
  std::atomic<int>& count;
  const int others; // that ran when this one began
};

class amazon_sns final : public sns {
public:
  amazon_sns(http_client& http, trusted_issuers trusted) : http_(http), trusted_(std::move(trusted)) {}

  task<result<certificate>> signing_certificate(sns_url at, seconds_clock now) override {
    if (auto cached = find(at.url, now)) co_return std::move(*cached);
    const running_fetch fetch(running_);
    if (fetch.others >= max_fetches)
      co_return failure{errc::unavailable, std::to_string(max_fetches) + " SNS certificates are being fetched already"};
    auto text = co_await get(at.url, max_certificate_bytes);
    if (!text) co_return text.error();
    auto chain = certificate::read_pem(*text);
    if (!chain) co_return failure{errc::forbidden, quote(at.url) + ": " + chain.error().on};
    const auto leaf = chain->front();
    const auto names = certificate_names(at);
    if (std::none_of(names.begin(), names.end(), [&](const auto& n) { return leaf.is_for(n); }))
      co_return failure{errc::forbidden, "the certificate at " + quote(at.url) + " is not issued for " + names.front()};
    if (leaf.expires() < now)
      co_return failure{errc::forbidden,
                        "the certificate at " + quote(at.url) + " expired at " + iso8601(leaf.expires())};
    auto issuers = std::move(*chain);
    issuers.erase(issuers.begin());
    auto checked = leaf.check(trusted_, issuers, now);
    // The issuer is fetched only where the check needs it.
    if (!checked && issuers.empty() && is_amazon_issuer_url(leaf.issuer_url())) {
      auto issuer = co_await fetch_issuer(leaf);
      if (!issuer) co_return issuer.error();
      issuers.push_back(std::move(*issuer));
      checked = leaf.check(trusted_, issuers, now);
    }
    if (!checked) co_return checked.error();
    fetched.add();
    add(at.url, leaf);
    co_return leaf;
  }

  // GET /?Action=ConfirmSubscription&TopicArn=…&Token=… HTTP/1.1
  task<result<void>> confirm(sns_url at) override {
    auto text = co_await get(at.url, max_confirmation_bytes);
    if (!text) co_return text.error();
    co_return result<void>{};
  }

private:
  task<result<std::string>> get(std::string url, std::size_t max) {
    const auto where = parse_web_url(url);
    if (!where) co_return failure{errc::forbidden, where.error().on};
    http_request r;
    r.to = where->server;
    r.target = where->target;
    r.idle_timeout = 10s;
    r.deadline = std::chrono::steady_clock::now() + 15s;
    auto answer = co_await http_.send(r, {}, max);
    if (!answer) co_return failure{errc::unavailable, answer.error().on};
    if (answer->status >= 500 || answer->status == 429)
      co_return failure{errc::unavailable, r.to.origin() + " answered " + std::to_string(answer->status)};
    if (answer->status != 200)
      co_return failure{errc::forbidden, r.to.origin() + " answered " + std::to_string(answer->status)};
    co_return std::move(answer->body);
  }

  // The issuer in DER (RFC 5280 §4.2.2.1). Fetched without trust: the check of the chain follows.
  task<result<certificate>> fetch_issuer(certificate of) {
    const auto url = of.issuer_url();
    auto bytes = co_await get(url, max_certificate_bytes);
    if (!bytes) co_return bytes.error();
    auto issuer = certificate::read_der(*bytes);
    if (!issuer) co_return failure{errc::forbidden, quote(url) + ": " + issuer.error().on};
    co_return issuer;
  }

  std::optional<certificate> find(const std::string& url, seconds_clock now) {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(cache_.begin(), cache_.end(), [&](const auto& c) { return c.first == url; });
    if (found == cache_.end()) return std::nullopt;
    if (found->second.expires() >= now) return found->second;
    cache_.erase(found);
    return std::nullopt;
  }

  void add(const std::string& url, const certificate& leaf) {
    std::lock_guard lock(mutex_);
    std::erase_if(cache_, [&](const auto& c) { return c.first == url; });
    cache_.emplace_back(url, leaf);
    if (cache_.size() > max_cached) cache_.pop_front();
  }

  http_client& http_;
  const trusted_issuers trusted_;
  std::atomic<int> running_{0};
  std::mutex mutex_;
  std::deque<std::pair<std::string, certificate>> cache_; // the newest last
};

} // namespace

std::unique_ptr<sns> make_sns(http_client& http, trusted_issuers trusted) {
  return std::make_unique<amazon_sns>(http, std::move(trusted));
}

} // namespace postern
