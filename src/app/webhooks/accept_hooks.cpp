#include <postern/app/webhooks/accept_hooks.hpp>
#include <postern/base/random.hpp>
#include <postern/core/events/webhook.hpp>
#include <postern/core/http/url.hpp>

#include <algorithm>
#include <stdexcept>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t max_answer = 5 << 10; // bytes: a verdict and its reason

} // namespace

accept_hooks::accept_hooks(const config& c) {
  for (const auto& [name, rules] : c.profiles) {
    const auto& hook = rules.accept;
    if (!hook.exists()) continue;
    try {
      const auto peers = hook.allow_private ? reach::internal : reach::open;
      clients_.emplace_back(http_client_options{.ca_file = hook.ca_file, .connect_to = std::nullopt, .peers = peers});
    } catch (const std::runtime_error& e) {
      throw config_error("profiles." + name + ".accept.ca_file: " + e.what());
    }
    verdict_hook v;
    v.to.url = hook.url;
    v.to.at = parse_web_url(hook.url).value();
    v.to.keys.push_back(webhook_key(hook.key).value());
    v.to.send = [client = &clients_.back()](const http_request& r, std::string_view body) {
      return client->send(r, body, max_answer);
    };
    v.timeout = hook.timeout;
    longest_timeout_ = std::max(longest_timeout_, v.timeout);
    v.deadline = hook.deadline;
    v.unclaimed = rules.unclaimed;
    hooks_.emplace(name, std::move(v));
  }
}

acceptor_options accept_hooks::options() const {
  acceptor_options o;
  o.hooks = hooks_;
  o.clock = now_millis;
  o.random = random_fraction;
  o.lease = longest_timeout_ + 15s;
  o.user_agent = "Postern/" POSTERN_VERSION;
  return o;
}

} // namespace postern::app
