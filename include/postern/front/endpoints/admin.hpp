// The admin listener: /healthz, /readyz, /metrics and the list of uploads. It has no authentication, so it listens on
// loopback by default. Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/transfer.hpp>
#include <postern/front/http_message.hpp>
#include <postern/io/ledger.hpp>

#include <atomic>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace postern::front {

// Something that a node must be able to do: "sign", "record" or "store". A failed check says why it is not.
struct readiness_part {
  std::string_view name;
  std::function<task<result<void>>()> check;
};

class admin_endpoint {
public:
  // The references, and what the parts refer to, must outlive this.
  admin_endpoint(ledger& records, const transfers& running, std::vector<readiness_part> parts,
                 std::vector<std::string> hosts = {})
      : ledger_(records), transfers_(running), parts_(std::move(parts)), hosts_(std::move(hosts)) {}

  // Whether the Host field is a name by which an operator reaches this listener: an address, localhost, a name without
  // a dot, or one of `hosts`. A page on the internet can give its own name the address of this listener (DNS
  // rebinding); its script then asks here with that name. errc::forbidden.
  result<void> check_host(const request& r) const;

  // The process answers.
  task<response> health(request& r);
  // Which parts are ready, as text or JSON. 503 when one is not, or during a drain: a load balancer then sends no new
  // requests. Query: for=sign asks only for that part, for=record,store for these.
  task<response> readiness(request& r);
  task<response> show_metrics(request& r); // Prometheus text format 0.0.4
  // JSON lines, in order of id. Query: state, since, after (an id), limit.
  task<response> list_uploads(request& r);

  void start_draining() { is_draining_ = true; } // any thread

private:
  ledger& ledger_;
  const transfers& transfers_;
  const std::vector<readiness_part> parts_;
  const std::vector<std::string> hosts_;
  std::atomic<bool> is_draining_{false};
};

} // namespace postern::front
