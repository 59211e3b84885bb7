#include <postern/app/config/webhook_checks.hpp>
#include <postern/app/webhooks/webhooks.hpp>
#include <postern/base/random.hpp>
#include <postern/core/http/url.hpp>

namespace postern::app {

using namespace std::chrono_literals;

namespace {

// Only the status of a response counts; the log shows the beginning of its body.
constexpr std::size_t max_response = 5 << 10;

} // namespace

std::vector<webhook_endpoint> webhook_endpoints_of(const config& c) {
  std::vector<webhook_endpoint> out;
  for (const auto& w : c.webhooks) out.push_back({w.url, w.types});
  return out;
}

webhook_clients::webhook_clients(const config& c) {
  for (std::size_t n = 0; n < c.webhooks.size(); ++n) {
    const auto& w = c.webhooks[n];
    try {
      const auto peers = w.allow_private ? reach::internal : reach::open;
      clients_.emplace_back(http_client_options{.ca_file = w.ca_file, .connect_to = std::nullopt, .peers = peers});
    } catch (const std::runtime_error& e) {
      throw config_error(setting_of_webhook(n + 1, std::string("ca_file: ") + e.what()));
    }
    webhook_target e;
    e.url = w.url;
    e.at = parse_web_url(w.url).value();
    for (const auto& s : w.secrets) e.keys.push_back(webhook_key(s).value());
    e.send = [client = &clients_.back()](const http_request& r, std::string_view body) {
      return client->send(r, body, max_response);
    };
    endpoints_.push_back(std::move(e));
  }
}

notifier_options webhook_clients::options() const {
  notifier_options o;
  o.endpoints = endpoints_;
  o.clock = now_millis;
  o.random = random_fraction;
  o.user_agent = "Postern/" POSTERN_VERSION;
  // Without endpoints the ledger has only messages to removed endpoints. They can wait longer.
  if (endpoints_.empty()) o.poll = 1min;
  return o;
}

} // namespace postern::app
