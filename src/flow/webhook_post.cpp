#include <postern/core/events/webhook.hpp>
#include <postern/flow/webhook_post.hpp>

#include <algorithm>

namespace postern {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

// POST /hooks HTTP/1.1
// Host: app.example.com
// content-type: application/json
// user-agent: Postern/1.0
// webhook-id: msg_…
// webhook-timestamp: 1795457700
// webhook-signature: v1,K5oZfz…= v1,…
http_request request_of(const webhook_target& to, const std::string& user_agent, std::string_view id,
                        std::string_view payload, millis_clock now, milliseconds timeout) {
  const auto at = std::chrono::floor<std::chrono::seconds>(now);
  std::string signatures;
  for (const auto& key : to.keys)
    signatures.append(signatures.empty() ? "" : " ").append(webhook_signature(key, id, at, payload));
  http_request r;
  r.to = to.at.server;
  r.method = "POST";
  r.target = to.at.target;
  r.fields = {{"content-type", "application/json"},
              {"user-agent", user_agent},
              {"webhook-id", std::string(id)},
              {"webhook-timestamp", std::to_string(at.time_since_epoch().count())},
              {"webhook-signature", signatures}};
  r.connect_timeout = std::min<milliseconds>(5s, timeout);
  r.idle_timeout = timeout;
  r.truncates_response = true;
  return r;
}

} // namespace

task<result<http_response>> post_webhook(const webhook_target& to, const std::string& user_agent, std::string_view id,
                                         std::string_view payload, millis_clock now, milliseconds timeout) {
  const auto request = request_of(to, user_agent, id, payload, now, timeout);
  auto sending = to.send(request, payload);
  auto what = "no answer within " + std::to_string(timeout.count() / 1000) + " s";
  co_return co_await within(timeout, std::move(sending), std::move(what));
}

} // namespace postern
