// Finds the endpoint of a request in a table of routes, and does what all endpoints need: 404, 405, OPTIONS, CORS, the
// count of requests. Owned by the node, shared by all threads.
#pragma once

#include <postern/base/metrics.hpp>
#include <postern/front/endpoints/origins.hpp>
#include <postern/front/http_message.hpp>

#include <memory>
#include <string_view>
#include <vector>

namespace postern::front {

// Which pages' scripts may read the responses of a route.
enum class readers { own_pages, allowed_origins, any_origin };

struct route {
  // Ends in /: exactly one more part follows, which the endpoint gets decoded as request::path_parameter.
  std::string_view path;
  http::verb verb; // GET also serves HEAD
  readers cors;
  endpoint answer;
};

class router {
public:
  // `allowed` must outlive the router.
  router(std::vector<route> table, const origins& allowed);
  router(const router&) = delete;
  router& operator=(const router&) = delete;
  ~router();

  task<response> answer(request& r);

private:
  struct status_counters;
  struct match;
  match find(const request& r) const;
  response preflight(const request& r, const match& found) const;
  void add_cors(readers cors, const request& r, response& made) const;

  const std::vector<route> table_;
  const origins& allowed_;
  std::vector<std::unique_ptr<status_counters>> counters_; // one a route, and one for requests without a route
};

} // namespace postern::front
