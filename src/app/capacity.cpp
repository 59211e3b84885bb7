#include <postern/app/capacity.hpp>
#include <postern/base/log.hpp>
#include <postern/front/http_server.hpp>

#include <algorithm>
#include <string>
#include <sys/resource.h>

namespace postern::app {
namespace {

// Descriptors for listeners, loops, the log, the ledger and its readers, questions to the store, webhooks, SNS and STS.
constexpr std::uint64_t set_apart = 96;

// The limit, or `max` where that is lower. 0: there is no limit but `max`.
std::uint64_t lower(std::uint64_t limit, std::uint64_t max) { return limit ? std::min(limit, max) : max; }

void warn(const char* setting, std::uint64_t limit, std::uint64_t possible, const std::string& remedy) {
  if (possible < limit)
    log::warning("limit lowered", {{"setting", setting}, {"limit", limit}, {"possible", possible}, {"remedy", remedy}});
}

} // namespace

std::uint64_t raise_descriptor_limit() {
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  rlimit wanted = now;
  wanted.rlim_cur = now.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) now = wanted;
  return now.rlim_cur;
}

capacity plan_capacity(const config& c, std::uint64_t descriptors) {
  const auto free = descriptors - std::min(descriptors / 2, set_apart);
  const auto has_store_of = [&](const std::string& type) {
    return c.store.type == type ||
           std::any_of(c.stores.begin(), c.stores.end(), [&](const auto& s) { return s.type == type; });
  };
  const bool has_s3 = has_store_of("s3");
  const auto& l = c.limits;
  capacity plan;
  // An upload has descriptors of its own: its file, or two connections to S3, because the answer to one part is awaited
  // while the next part is sent.
  plan.store_requests = lower(l.store_requests, free / 4);
  auto by_descriptors = free - (has_s3 ? 2 * plan.store_requests : 0);
  if (has_store_of("file")) by_descriptors -= by_descriptors / 2;
  const auto by_memory = l.buffers ? l.buffers / 2 / front::http_server::connection_memory : by_descriptors;
  plan.connections = lower(l.connections, std::min(by_descriptors, by_memory));
  const auto more_descriptors = "only " + std::to_string(descriptors) +
                                " file descriptors may be open; raise LimitNOFILE= or ulimit -n, or lower the limit";
  if (has_s3) warn("limits.store_requests", l.store_requests, plan.store_requests, more_descriptors);
  warn("limits.connections", l.connections, plan.connections,
       by_memory < by_descriptors ? "connections may take half of limits.buffers; raise it, or lower the limit"
                                  : more_descriptors);
  return plan;
}

} // namespace postern::app
