// One upload's changes as server-sent events (WHATWG HTML, "Server-sent events"): the current state, then each change,
// until the upload has ended. Owned by the response of its request, on the connection's thread.
#pragma once

#include <postern/flow/upload_feed.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace postern::front {

class upload_event_stream {
public:
  // `now` was read after `changes` was subscribed. `is_whole`: show key and metadata, too. `received` returns the bytes
  // that this node has received, or nothing if it is not receiving the upload (transfers::received).
  upload_event_stream(upload now, bool is_whole, upload_feed::subscription changes,
                      std::function<std::optional<std::uint64_t>()> received);

  // The next event. Empty: no change within half a second. Every 15 seconds without an event, a comment, so that no
  // proxy closes the connection. Nothing: the last event was sent, or an hour has passed; the browser then reconnects.
  task<std::optional<std::string>> next();

private:
  std::string to_data() const;

  upload now_;
  const bool is_whole_;
  upload_feed::subscription changes_;
  const std::function<std::optional<std::uint64_t>()> received_;
  std::string sent_; // the data of the last event; empty: none yet
  const std::chrono::steady_clock::time_point begun_;
  std::chrono::steady_clock::time_point sent_at_;
};

// Whether the event with this Last-Event-ID was the last one of its stream. Status 204 then stops the browser from
// reconnecting.
bool was_last_event(std::string_view last_event_id);

} // namespace postern::front
