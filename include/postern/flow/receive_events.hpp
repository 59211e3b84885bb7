// Hearing: a store, or somebody on its behalf, sends event notifications (CONTRACT: POST /v1/events). Who is it, what
// does it say, and is it true? Owned by the node, shared by all threads.
#pragma once

#include <postern/base/error.hpp>
#include <postern/base/log.hpp>
#include <postern/core/events/sns.hpp>
#include <postern/flow/complete.hpp>
#include <postern/io/aws/sns.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct event_receiver_options {
  secret token;                        // empty: only SNS is heard
  std::vector<std::string> sns_topics; // ARNs; empty: SNS is not heard
};

// One message as it came. The views must live until it is heard.
struct event_request {
  std::string_view authorization; // the header field, or empty
  std::string_view signature;     // X-Postern-Signature, or empty
  std::string_view body;
};

// How many events of a message came to what.
struct event_counts {
  std::size_t recorded = 0, pending = 0, ignored = 0;
};

class event_receiver {
public:
  // What is passed must outlive this.
  event_receiver(event_receiver_options options, completer& completions, sns& asks);

  // Is there anybody who could be believed?
  bool is_open() const { return !options_.token.empty() || !options_.sns_topics.empty(); }

  // An SNS envelope is believed for its signature and nothing else; any other message for the token, which comes as a
  // bearer token (MinIO, EventBridge), as the password of basic authentication (Ceph, raw SNS delivery), or as the key
  // of an HMAC over the body. A message that SNS sends twice is taken once. errc::unauthorized, errc::forbidden (SNS,
  // but not right), errc::bad_request, errc::payload_too_large; errc::unavailable and errc::ledger_failed: it must be
  // sent again.
  task<result<event_counts>> receive(event_request r, millis_clock now);

private:
  bool knows_token(const event_request& r) const;
  task<result<event_counts>> receive_sns(json_value envelope, millis_clock now);
  task<result<event_counts>> receive_all(std::vector<object_event> events, millis_clock now);

  const event_receiver_options options_;
  completer& completer_;
  sns& sns_;
  recent_messages recent_;
};

} // namespace postern
