#include <postern/base/log.hpp>
#include <postern/base/metrics.hpp>
#include <postern/io/auth/forward_auth.hpp>

#include <memory>

namespace postern {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t max_body = 4096; // it is read and ignored, so that the connection can be used again

constexpr const char *counts = "postern_forward_auth_total", *help = "Questions to auth.forward.url, by their outcome";
metrics::counter admitted(counts, help, "outcome=\"admitted\""), refused(counts, help, "outcome=\"refused\""),
    failed(counts, help, "outcome=\"failed\"");

bool is_decision(int status) { return status / 100 == 2 || status == 401 || status == 403; }

std::string remedy_for(int status) {
  return status / 100 == 3 ? "; answer 401 instead of a redirect to a page where users sign in" : "";
}

} // namespace

forward_auth::forward_auth(http_client& http, forward_auth_options options)
    : http_(http), options_(std::move(options)), breaker_(options_.max_failures, options_.pause) {}

task<result<http_response>> forward_auth::ask(fields credentials, std::string client) {
  const auto place = co_await places_.wait_for(std::move(client), options_.timeout);
  if (!place) co_return failure{errc::too_many_requests, "the application is being asked about many other requests"};
  if (!breaker_.may_ask(steady_clock::now()))
    co_return failure{errc::unavailable, "the application (auth.forward.url) does not answer"};
  auto answer = co_await send(std::move(credentials));
  note(answer);
  // Odd credentials can cause such an answer. It must not open the breaker, which refuses all clients.
  if (answer && !is_decision(answer->status))
    co_return failure{errc::unavailable, "auth.forward.url answered " + std::to_string(answer->status) +
                                             ", not 2xx, 401 or 403" + remedy_for(answer->status)};
  co_return answer;
}

task<result<http_response>> forward_auth::send(fields credentials) {
  http_request r;
  r.to = options_.url.server;
  r.target = options_.url.target;
  r.fields = std::move(credentials);
  r.connect_timeout = r.idle_timeout = r.header_timeout = options_.timeout;
  r.deadline = steady_clock::now() + options_.timeout;
  r.truncates_response = true;
  auto answer = co_await http_.send(r, {}, max_body);
  if (!answer) co_return failure{errc::unavailable, "auth.forward.url: " + describe(answer.error())};
  if (answer->status >= 500)
    co_return failure{errc::unavailable, "auth.forward.url answered " + std::to_string(answer->status)};
  co_return answer;
}

void forward_auth::note(const result<http_response>& answer) {
  const auto from = options_.url.server.origin() + options_.url.target;
  if (answer) {
    (answer->status / 100 == 2 ? admitted : is_decision(answer->status) ? refused : failed).add();
    if (breaker_.note_success()) log::info("auth.forward answers again", {{"url", from}});
    return;
  }
  failed.add();
  if (breaker_.note_failure(steady_clock::now()))
    log::warning("auth.forward is given up for a moment: it failed several times in a row",
                 {{"url", from}, {"why", describe(answer.error())}, {"pause_ms", options_.pause.count()}});
}

} // namespace postern
