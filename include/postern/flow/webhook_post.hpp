// One POST of a signed message to the application (Standard Webhooks 1.0, standardwebhooks.com).
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/base/log.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct webhook_target {
  std::string url; // as the ledger has it
  web_url at;
  // Made by webhook_key. Each signs, so that a receiver may verify with the old or the new one.
  std::vector<secret> keys;
  // Sends a request with this body; both outlive the task. In the program this is http_client::send.
  std::function<task<result<http_response>>(const http_request&, std::string_view)> send;
};

// Sends the message with this id and body once. errc::timed_out: there was no whole answer within `timeout`, from the
// name's resolution on. The other failures of http_client::send. The references must outlive the task.
task<result<http_response>> post_webhook(const webhook_target& to, const std::string& user_agent, std::string_view id,
                                         std::string_view payload, millis_clock now, std::chrono::milliseconds timeout);

} // namespace postern
