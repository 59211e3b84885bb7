// Asks the application who sent a request: "forward auth", as nginx's auth_request and Traefik's ForwardAuth do it. The
// application gets the request's credentials and answers with a status and header fields. Owned by the node, shared by
// all threads.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/http/url.hpp>
#include <postern/io/circuit_breaker.hpp>
#include <postern/io/net/http_client.hpp>
#include <postern/io/shared/shared_places.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace postern {

struct forward_auth_options {
  web_url url;
  std::chrono::milliseconds timeout{2'000}; // of one question, from dialling to the last byte of the answer
  int max_failures = 5;                     // in a row; then the application is not asked for `pause`
  std::chrono::milliseconds pause{5'000};
};

class forward_auth {
public:
  using fields = std::vector<std::pair<std::string, std::string>>;

  // `http` must outlive this, and this must outlive the loops on which it is used.
  forward_auth(http_client& http, forward_auth_options options);

  // The application's answer to a GET with these header fields: its status is 2xx, 401 or 403. `client`: the network of
  // the client who is waiting; one client has a quarter of the 64 questions that may run at the same time.
  // errc::unavailable: the application gave another answer, or none in time, or was given up for a moment.
  // errc::too_many_requests: no place for the question became free in time.
  task<result<http_response>> ask(fields credentials, std::string client);

private:
  task<result<http_response>> send(fields credentials);
  void note(const result<http_response>& answer);

  http_client& http_;
  const forward_auth_options options_;
  circuit_breaker breaker_;
  shared_places places_{64, 16};
};

} // namespace postern
