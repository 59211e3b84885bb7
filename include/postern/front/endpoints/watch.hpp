// One upload's changes as server-sent events (WHATWG HTML, "Server-sent events"): the state as it is, then each change,
// until the upload has come to an end. Lives in the answer of the request that asked, on its connection's thread.
#pragma once

#include <postern/flow/transfer.hpp>
#include <postern/io/ledger.hpp>

#include <chrono>
#include <optional>
#include <string>

namespace postern::front {

class upload_watch {
public:
  // `whole`: key and metadata too. What is passed must outlive this.
  upload_watch(upload now, bool whole, ledger& records, const transfers& running);

  // The next event, or an empty text where nothing has changed in half a second; each 15 seconds a comment, so that no
  // proxy hangs up. Nothing when all has been said, or after an hour: a browser then asks anew by itself.
  task<std::optional<std::string>> next();

private:
  std::string shown() const;

  upload now_;
  const bool whole_;
  ledger& ledger_;
  const transfers& running_;
  std::string said_; // the last event's data; empty: none yet
  const std::chrono::steady_clock::time_point begun_;
  std::chrono::steady_clock::time_point said_at_;
};

// Did a browser that asks again with this Last-Event-ID hear of the end? Then 204 tells it to stop asking.
bool heard_the_end(std::string_view last_event_id);

} // namespace postern::front
