#include <postern/base/encoding.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/front/endpoints/admin.hpp>

#include <algorithm>

namespace postern::front {
namespace {

// errc::bad_request names the parameter, its value and the rule.
result<upload_filter> filter_of(std::string_view query) {
  upload_filter filter;
  if (auto state = query_parameter(query, "state"); state && !state->empty()) {
    filter.state = upload_state_of(*state);
    if (!filter.state)
      return failure{errc::bad_request,
                     "state is " + quote(*state) + "; must be issued, receiving, completed, failed or expired"};
  }
  if (auto since = query_parameter(query, "since"); since && !since->empty()) {
    auto moment = parse_iso8601(*since);
    if (!moment) return failure{errc::bad_request, "since is " + quote(*since) + "; must be like 2026-11-23T18:15:00Z"};
    filter.since = *moment;
  }
  if (auto after = query_parameter(query, "after")) filter.after_id = *after;
  if (auto limit = query_parameter(query, "limit"); limit && !limit->empty()) {
    const auto n = parse_number(*limit);
    if (!n || *n > 9999) return failure{errc::bad_request, "limit is " + quote(*limit) + "; must be 1 to 9999"};
    filter.limit = std::max<std::size_t>(1, *n);
  }
  return filter;
}

} // namespace

task<response> admin_endpoint::health(request&) { co_return make_response(200, "text/plain", "ok\n"); }

task<response> admin_endpoint::readiness(request&) {
  if (is_draining_) co_return make_response(503, "text/plain", "draining\n");
  auto writable = co_await ledger_.flush();
  co_return writable ? make_response(200, "text/plain", "ready\n")
                     : make_response(503, "text/plain", "ledger: " + describe(writable.error()) + "\n");
}

task<response> admin_endpoint::show_metrics(request&) {
  co_return make_response(200, "text/plain; version=0.0.4", metrics::print_all());
}

task<response> admin_endpoint::list_uploads(request& r) {
  auto filter = filter_of(r.query);
  if (!filter) co_return make_problem(filter.error(), r.id);
  auto found = co_await ledger_.list(*filter);
  if (!found) co_return make_problem(found.error(), r.id);
  std::string lines;
  for (auto& u : *found) {
    if (const auto received = transfers_.received(u.id)) u.received = received;
    lines.append(to_json(u, true)).append("\n");
  }
  co_return make_response(200, "application/x-ndjson", std::move(lines));
}

} // namespace postern::front
