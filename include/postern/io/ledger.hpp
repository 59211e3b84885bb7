// The contract for remembering uploads. Each method is one transaction named after its meaning. A ledger is shared by
// all threads; it has one writer thread of its own that commits what has queued up as one transaction (group commit),
// in the order of the calls, reads included: a call sees what was called before it. When a method answers success the
// fact is durable, but for issue and receiving, which are written behind.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/tasks.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace postern {

// The fact that an object exists, and all that is needed to remember it even when nothing was known of the upload
// before.
struct completion {
  upload of; // id, profile, user, bucket, key, min_size, max_size, expires_at; state and the fields from size on are
             // ignored
  std::uint64_t size = 0;
  std::string etag;
  std::optional<std::uint32_t> crc32c;
  millis_clock at{};
  evidence by = evidence::redirect;
};

struct upload_filter {
  std::optional<upload_state> state;
  std::string after_id;              // only ids greater than this one (ids are in order of time); empty: all
  std::optional<millis_clock> since; // created at or after
  std::size_t limit = 100;
};

class ledger {
public:
  virtual ~ledger() = default; // waits until all that was called is written

  // Remembers an upload that was signed. Written behind: returns at once and cannot fail; what cannot be written is
  // counted and logged. Does nothing when the id is there already.
  virtual void issue(upload u) = 0;

  // Its bytes have begun to arrive here (made when unknown). Written behind. Never takes a completed upload back.
  virtual void receiving(upload u) = 0;

  // Records the completion, once: idempotent for the same object. Answers the upload as recorded now. When the upload
  // is completed already with another ETag, the completion stays and overwritten_at is set. errc::ledger_failed,
  // errc::unavailable (queue full).
  virtual task<result<upload>> confirm(completion c) = 0;

  // The upload failed with that code (errc_text::name) or its fallback broke off. A completed upload stays completed.
  // Answers it as recorded now.
  virtual task<result<upload>> fail(upload u, std::string code) = 0;

  // errc::not_found
  virtual task<result<upload>> find(std::string id) = 0;

  // In order of id, at most filter.limit.
  virtual task<result<std::vector<upload>>> list(upload_filter filter) = 0;

  // Can it write now? For /readyz and doctor. errc::ledger_failed says why not.
  virtual task<result<void>> probe() = 0;
};

// By URL: "sqlite:var/postern.db" (relative to the working directory), "sqlite::memory:". Throws std::runtime_error for
// others.
std::unique_ptr<ledger> make_ledger(const std::string& url);

} // namespace postern
