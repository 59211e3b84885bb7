// S3 event notifications: parses the formats of AWS, Ceph RGW, MinIO and EventBridge into one list. Pure. The caller
// must authenticate the sender.
#pragma once

#include <postern/base/error.hpp>
#include <postern/base/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace postern {

// One event of one object.
struct object_event {
  std::string bucket;
  std::string key; // decoded, if the sender encodes keys
  std::optional<std::uint64_t> size;
  std::string etag;      // without quotes; empty: absent
  std::string sequencer; // orders the events of one key; empty: absent
  bool created = false;  // the event created the object; other events are ignored
  std::string kind;      // the sender's name of the event, without "s3:": "ObjectCreated:Post", "Object Created"
};

constexpr std::size_t max_events = 100; // in one message; S3 sends one event; queues send batches of ten

// The events of one message, and why other records of it are none. A record is rejected by itself: the ones beside it
// count.
struct event_message {
  std::vector<object_event> events;
  std::vector<std::string> rejected; // "record 3 names no bucket"
};

// Parses (a) S3's own JSON {"Records":[…]} of AWS (event version 2.x; "Event message structure" in the S3 user guide),
// Ceph RGW and MinIO, whose keys are form-url-encoded, except Ceph's (eventSource names the sender); (b) EventBridge's
// {"source":"aws.s3","detail-type":…}, whose key is plain; (c) {"Event":"s3:TestEvent"}, which has no event.
// Records that are not S3's become events that created nothing. errc::bad_request: the message as a whole is none of
// these; errc::payload_too_large: it has more than max_events.
result<event_message> read_events(const json_value& message);

} // namespace postern
