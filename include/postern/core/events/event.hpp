// S3 event notifications, in every dress in which stores send them, read into one list. Pure; it decides nothing about
// uploads and believes nothing: who sent the bytes is for the caller to know.
#pragma once

#include <postern/base/error.hpp>
#include <postern/base/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace postern {

// One thing that happened to one object.
struct object_event {
  std::string bucket;
  std::string key; // as the object has it: decoded where its sender encodes keys
  std::optional<std::uint64_t> size;
  std::string etag;      // without quotes; empty: not said
  std::string sequencer; // orders events of one key; empty: not said
  bool created = false;  // an object was made there; anything else is of no interest here
  std::string kind;      // as the sender names it, without "s3:": "ObjectCreated:Post", "Object Created"
};

constexpr std::size_t max_events = 100; // in one message; S3 sends one, queues batch ten

// Takes (a) S3's own JSON {"Records":[…]} of AWS (event version 2.x; "Event message structure" in the S3 user guide),
// Ceph RGW and MinIO, whose keys are form-url-encoded but for Ceph's (told by eventSource); (b) EventBridge's
// {"source":"aws.s3","detail-type":…}, whose key is plain; (c) {"Event":"s3:TestEvent"}, which is no event at all.
// Records that are not S3's are left out. errc::bad_request says what is wrong where; errc::payload_too_large for more
// than max_events.
result<std::vector<object_event>> read_events(const json_value& message);

} // namespace postern
