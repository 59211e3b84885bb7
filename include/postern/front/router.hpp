// Finds the endpoint of a request in a table of routes, and does what all endpoints need: 404, 405, OPTIONS, CORS, the
// count of requests. Owned by the node, shared by all threads.
#pragma once

#include <postern/base/metrics.hpp>
#include <postern/front/cors.hpp>
#include <postern/front/http_message.hpp>

#include <memory>
#include <string_view>
#include <vector>

namespace postern::front {

struct route {
  // May have one parameter: exactly one part of the path, which the endpoint gets decoded as request::path_parameter.
  // It stands in braces ("/v1/uploads/{id}/download"), or is what follows a path that ends in /.
  std::string_view path;
  http::verb verb; // GET also serves HEAD
  cors_readers cors;
  endpoint answer;
};

class router {
public:
  // `cors` must outlive the router.
  router(std::vector<route> table, const cors_rules& cors);
  router(const router&) = delete;
  router& operator=(const router&) = delete;
  ~router();

  task<response> answer(request& r);

private:
  struct status_counters;
  struct match;
  match find(const request& r) const;

  const std::vector<route> table_;
  const cors_rules& cors_;
  std::vector<std::unique_ptr<status_counters>> counters_; // one a route, and one for requests without a route
};

} // namespace postern::front
