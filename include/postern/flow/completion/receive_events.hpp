// The event receiver: authenticates the sender of event notifications (POST /v1/events), reads the events, and lets the
// completer confirm each. Owned by the node, shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/base/log.hpp>
#include <postern/core/events/sns.hpp>
#include <postern/flow/completion/complete.hpp>
#include <postern/io/aws/sns.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct event_receiver_options {
  secret token;                        // that other senders than SNS show; empty: there are none
  std::vector<std::string> sns_topics; // ARNs of the topics that are received; empty: no SNS message is
  std::vector<std::string> buckets;    // whose events count; "*" among them: any
};

// One message as it arrived. The views must outlive the call of receive.
struct event_request {
  std::string_view authorization; // the header field, or empty
  std::string_view signature;     // X-Postern-Signature, or empty
  std::string_view body;
};

// The events of one message, by outcome. Rejected are records that cannot be read, and events that fail whenever they
// are sent.
struct event_counts {
  std::size_t recorded = 0, pending = 0, ignored = 0, rejected = 0;
};

class event_receiver {
public:
  // The references must outlive this.
  event_receiver(event_receiver_options options, completer& completions, sns& topics, ledger& records);

  // Is any kind of sender configured?
  bool is_open() const { return !options_.token.empty() || !options_.sns_topics.empty(); }

  // What can be known of the sender before its message is read. errc::unauthorized: no message of this sender can be
  // authentic.
  result<void> check_sender(const event_request& r) const;

  // An SNS envelope is authenticated by its signature alone. Any other message is authenticated by the token: as a
  // bearer token (MinIO, EventBridge), as the password of basic authentication (Ceph, raw SNS delivery), or as the key
  // of an HMAC over the body. A message that SNS sends twice, to any nodes, is processed once.
  // Each event stands alone: one that fails does not keep the others from being recorded. errc::unauthorized,
  // errc::forbidden (an SNS message that is not authentic), errc::bad_request, errc::payload_too_large;
  // errc::unavailable and errc::ledger_failed: the sender must retry.
  task<result<event_counts>> receive(event_request r, millis_clock now);

private:
  bool shows_token(const event_request& r) const;
  bool has_signed(const event_request& r) const;
  task<result<event_counts>> receive_sns(sns_message m, millis_clock now);
  task<result<event_counts>> receive_all(event_message message, millis_clock now);

  const event_receiver_options options_;
  completer& completer_;
  sns& sns_;
  ledger& ledger_;
};

} // namespace postern
