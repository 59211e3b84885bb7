#include <postern/base/encoding.hpp>
#include <postern/base/json.hpp>
#include <postern/base/metrics.hpp>
#include <postern/base/text.hpp>
#include <postern/base/uuid.hpp>
#include <postern/front/cors.hpp>
#include <postern/front/endpoints/admin.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace postern::front {
namespace {

// errc::bad_request names the parameter, its value and the rule.
result<upload_filter> filter_of(std::string_view query) {
  upload_filter filter;
  if (auto state = query_parameter(query, "state"); state && !state->empty()) {
    filter.state = upload_state_of(*state);
    if (!filter.state)
      return failure{errc::bad_request, "state is " + quote(*state) + "; must be " + upload_state_names()};
  }
  if (auto since = query_parameter(query, "since"); since && !since->empty()) {
    auto moment = parse_iso8601(*since);
    if (!moment) return failure{errc::bad_request, "since is " + quote(*since) + "; must be like 2026-11-23T18:15:00Z"};
    filter.since = *moment;
  }
  if (auto after = query_parameter(query, "after"); after && !after->empty()) {
    if (!is_uuid(*after)) return failure{errc::bad_request, "after is " + quote(*after) + "; must be an upload's id"};
    filter.after_id = *after;
  }
  if (auto limit = query_parameter(query, "limit"); limit && !limit->empty()) {
    const auto n = parse_number(*limit);
    if (!n || *n > 9999) return failure{errc::bad_request, "limit is " + quote(*limit) + "; must be 1 to 9999"};
    filter.limit = std::max<std::size_t>(1, *n);
  }
  return filter;
}

// The parts that a list such as "record,store" names, or all. errc::bad_request names a part that does not exist.
result<std::vector<const readiness_part*>> parts_for(const std::vector<readiness_part>& all, std::string_view list) {
  std::vector<const readiness_part*> chosen;
  std::string known;
  for (const auto& part : all) {
    known.append(known.empty() ? "" : ", ").append(part.name);
    if (list.empty()) chosen.push_back(&part);
  }
  while (!list.empty()) {
    const auto name = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), name.size() + 1));
    const auto found = std::find_if(all.begin(), all.end(), [&](const auto& part) { return part.name == name; });
    if (found == all.end()) return failure{errc::bad_request, "for is " + quote(name) + "; the parts are: " + known};
    chosen.push_back(&*found);
  }
  return chosen;
}

// What /readyz answers.
struct readiness_state {
  bool is_draining = false;
  std::vector<std::pair<std::string_view, std::string>> parts; // the name, and why it is not ready; empty: it is

  bool is_ready() const {
    return !is_draining && std::all_of(parts.begin(), parts.end(), [](const auto& p) { return p.second.empty(); });
  }
  // ready
  // sign: ok
  // record: ok
  std::string to_text() const {
    std::string text = is_draining ? "draining\n" : is_ready() ? "ready\n" : "not ready\n";
    for (const auto& [name, why] : parts) text.append(name).append(": ").append(why.empty() ? "ok" : why).append("\n");
    return text;
  }
  // {"ready":false,"draining":false,"parts":{"sign":{"ok":true},"record":{"ok":false,"reason":"…"}}}
  std::string to_json() const {
    json_writer w;
    w.begin_object();
    w.key("ready"), w.boolean(is_ready());
    w.key("draining"), w.boolean(is_draining);
    w.key("parts");
    w.begin_object();
    for (const auto& [name, why] : parts) {
      w.key(name);
      w.begin_object();
      w.key("ok"), w.boolean(why.empty());
      if (!why.empty()) w.member("reason", why);
      w.end_object();
    }
    w.end_object();
    w.end_object();
    return w.take();
  }
};

} // namespace

result<void> admin_endpoint::check_host(const request& r) const {
  const auto host = host_name(r.field(http::field::host));
  if (host.empty() || is_address(host) || host.find('.') == host.npos) return {}; // HTTP/1.0 has no Host
  if (std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& h) { return iequals(h, host); })) return {};
  return failure{errc::forbidden, "this listener has no name " + quote(host) +
                                      "; ask by its address, or add the name to server.admin_hosts"};
}

task<response> admin_endpoint::health(request&) { co_return make_response(200, "text/plain", "ok\n"); }

task<response> admin_endpoint::readiness(request& r) {
  const auto asked = query_parameter(r.query, "for");
  auto chosen = parts_for(parts_, asked ? *asked : std::string{});
  if (!chosen) co_return make_problem(chosen.error(), r.id);
  readiness_state state;
  state.is_draining = is_draining_;
  for (const auto* part : *chosen) {
    auto checked = co_await part->check();
    state.parts.emplace_back(part->name, checked ? std::string{} : describe(checked.error()));
  }
  const int status = state.is_ready() ? 200 : 503;
  co_return accepts(r, "application/json") ? make_response(status, "application/json", state.to_json())
                                           : make_response(status, "text/plain", state.to_text());
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
