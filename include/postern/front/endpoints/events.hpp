// POST /v1/events: takes event notifications from a store or from SNS. Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/completion/receive_events.hpp>
#include <postern/front/http_message.hpp>

#include <cstddef>

namespace postern::front {

class events_endpoint {
public:
  // `max_body`: bytes of one message. `receiver` must outlive this.
  events_endpoint(std::size_t max_body, event_receiver& receiver) : max_body_(max_body), receiver_(receiver) {}

  // 200 with the counts of recorded and ignored events; 202 when some are pending.
  task<response> receive(request& r);

private:
  task<result<event_counts>> read_and_record(request& r);

  const std::size_t max_body_;
  event_receiver& receiver_;
};

} // namespace postern::front
