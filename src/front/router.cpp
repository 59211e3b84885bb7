#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/front/router.hpp>

#include <algorithm>
#include <string>

namespace postern::front {

// One counter for each class of status, 2xx to 5xx.
struct router::status_counters {
  explicit status_counters(const std::string& route) {
    for (const char digit : {'2', '3', '4', '5'})
      classes.push_back(std::make_unique<metrics::counter>("postern_requests_total",
                                                           "Requests answered, by route and class of status",
                                                           "route=\"" + route + "\",status=\"" + digit + "xx\""));
  }
  void count(int status) { classes[static_cast<std::size_t>(std::clamp(status / 100, 2, 5) - 2)]->add(); }
  std::vector<std::unique_ptr<metrics::counter>> classes;
};

struct router::match {
  std::size_t index;         // into table_; its size when there is no route
  std::string allowed_verbs; // of the path: "POST, PUT"; empty when the path does not exist
  cors_readers cors = cors_readers::own_pages;
};

namespace {

bool has_parameter(const route& to) { return to.path.size() > 1 && to.path.ends_with('/'); }

bool matches(const route& to, std::string_view path) {
  if (!has_parameter(to)) return path == to.path;
  return path.size() > to.path.size() && path.starts_with(to.path) && path.find('/', to.path.size()) == path.npos;
}

} // namespace

router::router(std::vector<route> table, const cors_rules& cors) : table_(std::move(table)), cors_(cors) {
  for (const auto& one : table_)
    counters_.push_back(
        std::make_unique<status_counters>(std::string(http::to_string(one.verb)) + " " + std::string(one.path)));
  counters_.push_back(std::make_unique<status_counters>("other"));
}

router::~router() = default;

router::match router::find(const request& r) const {
  const auto verb = r.method == http::verb::head ? http::verb::get : r.method;
  match found{table_.size(), {}};
  for (std::size_t i = 0; i < table_.size(); ++i) {
    const auto& one = table_[i];
    if (!matches(one, r.path)) continue;
    found.cors = one.cors;
    found.allowed_verbs.append(found.allowed_verbs.empty() ? "" : ", ").append(http::to_string(one.verb));
    if (one.verb != verb) continue;
    found.index = i;
    return found;
  }
  return found;
}

task<response> router::answer(request& r) {
  const auto found = find(r);
  response made;
  if (found.index < table_.size()) {
    const auto& to = table_[found.index];
    auto parameter = uri_decode(has_parameter(to) ? r.path.substr(to.path.size()) : std::string_view{});
    if (parameter) {
      r.path_parameter = std::move(*parameter);
      made = co_await call_endpoint(to.answer, r); // also a 500 is counted here, and has the fields of CORS
    } else {
      made = make_problem(failure{errc::bad_request, "the path " + quote(r.path) + " has an invalid percent-encoding"},
                          r.id);
    }
    cors_.add_headers(to.cors, r, made);
  } else if (found.allowed_verbs.empty()) {
    made = make_problem(failure{errc::not_found, "no such endpoint: " + quote(r.path)}, r.id);
  } else if (r.method == http::verb::options) {
    made = cors_.preflight(r, found.cors, found.allowed_verbs);
  } else {
    made = make_problem(failure{errc::method_not_allowed, std::string(http::to_string(r.method))}, r.id);
    made.with("Allow", found.allowed_verbs + ", OPTIONS");
  }
  counters_[found.index]->count(made.status);
  if (log::enabled(log::level::debug))
    log::debug("request", {{"request", r.id},
                           {"client", r.client_address},
                           {"method", std::string(http::to_string(r.method))},
                           {"status", made.status}});
  co_return made;
}

} // namespace postern::front
