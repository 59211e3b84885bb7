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

constexpr std::size_t max_kept = 16;               // regions times the certificates of a year
constexpr std::size_t largest_certificate = 32768; // bytes
constexpr int max_at_once = 32; // anyone may send an envelope with a URL: they must not make us ask without end

metrics::counter fetched("postern_sns_certificates_total", "Signing certificates fetched from SNS", "");

struct running {
  explicit running(std::atomic<int>& among) : count(among), before(count.fetch_add(1)) {}
  running(const running&) = delete;
  running& operator=(const running&) = delete;
  ~running() { --count; }
  std::atomic<int>& count;
  const int before;
};

class amazon_sns final : public sns {
public:
  amazon_sns(http_client& http, trusted_issuers trusted) : http_(http), trusted_(std::move(trusted)) {}

  task<result<certificate>> signing_certificate(sns_url at, seconds_clock now) override {
    if (auto kept = find(at.url, now)) co_return std::move(*kept);
    const running mine(running_);
    if (mine.before >= max_at_once) co_return failure{errc::unavailable, "too many certificates are being fetched"};
    auto text = co_await get(at.url, largest_certificate);
    if (!text) co_return text.error();
    auto all = certificate::read_pem(*text);
    if (!all) co_return failure{errc::forbidden, quote(at.url) + " is " + all.error().on};
    const auto one = all->front();
    const auto names = certificate_names(at);
    if (std::none_of(names.begin(), names.end(), [&](const auto& n) { return one.is_for(n); }))
      co_return failure{errc::forbidden, "the certificate at " + quote(at.url) + " is not SNS's"};
    if (one.expires() < now) co_return failure{errc::forbidden, "the certificate at " + quote(at.url) + " has expired"};
    auto between = std::move(*all);
    between.erase(between.begin());
    // Nothing is fetched for a certificate that comes with its chain, or that a trusted issuer has signed itself.
    auto right = one.check(trusted_, between, now);
    if (!right && between.empty() && is_amazon_issuer_url(one.issuer_url())) {
      auto issuer = co_await fetch_issuer(one);
      if (!issuer) co_return issuer.error();
      between.push_back(std::move(*issuer));
      right = one.check(trusted_, between, now);
    }
    if (!right) co_return right.error();
    fetched.add();
    keep(at.url, one);
    co_return one;
  }

  // GET /?Action=ConfirmSubscription&TopicArn=…&Token=… HTTP/1.1
  task<result<void>> confirm(sns_url at) override {
    auto text = co_await get(at.url, 64 << 10);
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
    r.silence = 10s;
    auto answer = co_await http_.send(r, {}, max);
    if (!answer) co_return failure{errc::unavailable, answer.error().on};
    if (answer->status >= 500 || answer->status == 429)
      co_return failure{errc::unavailable, r.to.origin() + " answered " + std::to_string(answer->status)};
    if (answer->status != 200)
      co_return failure{errc::forbidden, r.to.origin() + " answered " + std::to_string(answer->status)};
    co_return std::move(answer->body);
  }

  // In DER, as RFC 5280 §4.2.2.1 has it. Who it is, the chain will show.
  task<result<certificate>> fetch_issuer(certificate of) {
    const auto url = of.issuer_url();
    auto bytes = co_await get(url, largest_certificate);
    if (!bytes) co_return bytes.error();
    auto issuer = certificate::read_der(*bytes);
    if (!issuer) co_return failure{errc::forbidden, quote(url) + " is " + issuer.error().on};
    co_return issuer;
  }

  std::optional<certificate> find(const std::string& url, seconds_clock now) {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& k) { return k.first == url; });
    if (found == kept_.end()) return std::nullopt;
    if (found->second.expires() >= now) return found->second;
    kept_.erase(found);
    return std::nullopt;
  }

  void keep(const std::string& url, const certificate& one) {
    std::lock_guard lock(mutex_);
    std::erase_if(kept_, [&](const auto& k) { return k.first == url; });
    kept_.emplace_back(url, one);
    if (kept_.size() > max_kept) kept_.pop_front();
  }

  http_client& http_;
  const trusted_issuers trusted_;
  std::atomic<int> running_{0};
  std::mutex mutex_;
  std::deque<std::pair<std::string, certificate>> kept_;
};

} // namespace

std::unique_ptr<sns> make_sns(http_client& http, trusted_issuers trusted) {
  return std::make_unique<amazon_sns>(http, std::move(trusted));
}

} // namespace postern
