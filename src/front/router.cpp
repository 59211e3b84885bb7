#include <postern/base/encoding.hpp>
#include <postern/base/log.hpp>
#include <postern/front/router.hpp>

#include <algorithm>
#include <optional>
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
  std::string_view parameter{}; // as it is encoded in the path
};

namespace {

// The fixed text of a route's path, around its parameter.
struct fixed_text {
  std::string_view before, after;
  bool has_parameter = false;
};

fixed_text fixed_text_of(std::string_view path) {
  const auto open = path.find('{');
  if (open != path.npos) return {path.substr(0, open), path.substr(path.find('}') + 1), true};
  return {path, {}, path.size() > 1 && path.ends_with('/')};
}

// The parameter in the path, as it is encoded there; empty for a route that has none. Nothing: another path.
std::optional<std::string_view> match_path(const route& to, std::string_view path) {
  const auto [before, after, has_parameter] = fixed_text_of(to.path);
  if (!has_parameter) return path == before ? std::optional(std::string_view{}) : std::nullopt;
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after))
    return std::nullopt;
  const auto parameter = path.substr(before.size(), path.size() - before.size() - after.size());
  return parameter.find('/') == parameter.npos ? std::optional(parameter) : std::nullopt;
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
    const auto parameter = match_path(one, r.path);
    if (!parameter) continue;
    found.cors = one.cors;
    found.allowed_verbs.append(found.allowed_verbs.empty() ? "" : ", ").append(http::to_string(one.verb));
    if (one.verb != verb) continue;
    found.index = i;
    found.parameter = *parameter;
    return found;
  }
  return found;
}

task<response> router::answer(request& r) {
  const auto found = find(r);
  response made;
  if (found.index < table_.size()) {
    const auto& to = table_[found.index];
    auto parameter = uri_decode(found.parameter);
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
