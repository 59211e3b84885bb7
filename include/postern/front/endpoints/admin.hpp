// The admin listener: /healthz, /readyz, /metrics and the list of uploads. It has no authentication, so it listens on
// loopback by default. Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/transfer.hpp>
#include <postern/front/http_message.hpp>
#include <postern/io/ledger.hpp>

#include <atomic>

namespace postern::front {

class admin_endpoint {
public:
  // The references must outlive this.
  admin_endpoint(ledger& records, const transfers& running) : ledger_(records), transfers_(running) {}

  // The process answers.
  task<response> health(request& r);
  // The ledger can write. 503 when it cannot, or during a drain: a load balancer then sends no new requests.
  task<response> readiness(request& r);
  task<response> show_metrics(request& r); // Prometheus text format 0.0.4
  // JSON lines, in order of id. Query: state, since, after (an id), limit.
  task<response> list_uploads(request& r);

  void start_draining() { is_draining_ = true; } // any thread

private:
  ledger& ledger_;
  const transfers& transfers_;
  std::atomic<bool> is_draining_{false};
};

} // namespace postern::front
