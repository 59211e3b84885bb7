// The contract for remembering uploads, and what the application is still to be told of them. Each method is one
// transaction named after its meaning. A ledger is shared by all threads; it has one writer thread of its own that
// commits what has queued up as one transaction (group commit), in the order of the calls, reads included: a call sees
// what was called before it. Nodes that share a database see each other's facts once they are committed.
// When a method answers success the fact is durable, but for issue, receiving and progress, which are written behind.
// All methods that wait may answer errc::ledger_failed (the database refused or broke) or errc::unavailable (it cannot
// be reached now, or there is too much to do). Then nothing may be taken for recorded, and the same call may be made
// again; should the database have recorded it after all, because only its answer was lost, that changes nothing more.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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
  completion_source by = completion_source::redirect;
};

struct upload_filter {
  std::optional<upload_state> state{};
  std::string after_id{};              // only ids greater than this one (ids are in order of time); empty: all
  std::optional<millis_clock> since{}; // created at or after
  std::size_t limit = 100;
};

// One message to one endpoint. It is written in the transaction of the fact that it tells (transactional outbox), and
// is gone when it was delivered; one that was given up stays as a dead letter.
struct webhook {
  std::string id; // webhook-id: the same on each try
  std::string upload_id;
  std::string url;
  std::string type;                    // "upload.completed"
  std::string payload;                 // as it is sent, to the last byte
  unsigned tries = 0;                  // that failed
  millis_clock created_at{}, due_at{}; // due_at of a dead letter is 0
  bool is_dead = false;
  std::string last_error; // of the last try that failed
};

struct webhook_filter {
  std::optional<bool> is_dead{};
  std::string upload_id{}, url{}; // empty: any
  std::size_t limit = 100;
};

class ledger {
public:
  virtual ~ledger() = default; // waits until all that was called is written, or cannot be

  // --- what happens to an upload ---

  // Remembers an upload that was signed. Written behind: returns at once and cannot fail; what cannot be written is
  // counted and logged. Does nothing when the id is there already.
  virtual void issue(upload u) = 0;

  // Its bytes have begun to arrive here (made when unknown). Written behind. Never takes a completed upload back.
  virtual void start_receiving(upload u) = 0;

  // How many bytes of each upload have arrived at this node so far, for whoever asks another node. They live, so the
  // store is not asked about them before then, however long ago their policy expired. Written behind; only of uploads
  // that are being received.
  virtual void record_progress(std::vector<std::pair<std::string, std::uint64_t>> received,
                               millis_clock not_before) = 0;

  // Records the completion, once: idempotent for the same object. Answers the upload as recorded now. When the upload
  // is completed already with another ETag, the completion stays, and overwritten_at is set and announced, once for
  // each further ETag in a row.
  virtual task<result<upload>> confirm(completion c) = 0;

  // The upload failed with that code (errc_text::name) or its fallback broke off. A completed upload stays completed.
  // Answers it as recorded now.
  virtual task<result<upload>> fail(upload u, std::string code, millis_clock at) = 0;

  // --- what is to be asked of the store ---

  // The object is said to be there, but the store could not be asked: it is to be asked at that time. Made when
  // unknown. This is news, so it ends a hold of due_checks. Answers the upload as recorded now; one that is
  // completed has nothing more to be asked.
  virtual task<result<upload>> check_later(upload u, millis_clock at) = 0;

  // Uploads of which it is time to ask the store, at most so many, the longest waiting first: those of check_later, and
  // those that are not completed when their policy has expired and the grace has passed. They are held until then: no
  // other call, on any node, answers them before `leased_until`; what becomes of them ends that (confirm, expire).
  virtual task<result<std::vector<upload>>> due_checks(millis_clock now, millis_clock leased_until,
                                                       std::size_t max) = 0;

  // Neither an object nor a policy under which one could still come. issued and receiving become expired; failed stays
  // failed; nothing is asked of the store again. A completed upload stays completed. errc::not_found.
  virtual task<result<upload>> expire(std::string id, millis_clock at) = 0;

  // --- what the application is to be told ---

  // Messages that are due, at most so many, the longest waiting first, held until then as questions are. Only those to
  // ledger_options::endpoints; others are other nodes', and dead letters when no node has taken them for a day.
  virtual task<result<std::vector<webhook>>> due_webhooks(millis_clock now, millis_clock leased_until,
                                                          std::size_t max) = 0;
  // The endpoint took it. One that is not there any more is no failure.
  virtual task<result<void>> record_delivery(std::string webhook_id) = 0;
  // It did not. `again`: when the next try is due; nothing: it is a dead letter.
  virtual task<result<void>> record_failed_delivery(std::string webhook_id, std::string why,
                                                    std::optional<millis_clock> retry_at) = 0;
  // The endpoint wants no more: its messages become dead letters and no new ones are written, until one is retried.
  virtual task<result<void>> stop_endpoint(std::string url, std::string why) = 0;

  // In order of creation.
  virtual task<result<std::vector<webhook>>> list_webhooks(webhook_filter filter) = 0;
  // Dead letters become due at once, their tries counted anew; their endpoints are no longer stopped. No ids: all of
  // them, and no endpoint is stopped any more, even one without a dead letter. Answers how many.
  virtual task<result<std::size_t>> retry_webhooks(std::vector<std::string> ids, millis_clock now) = 0;
  // Dead letters go. No ids: all of them. Answers how many.
  virtual task<result<std::size_t>> purge_webhooks(std::vector<std::string> ids) = 0;

  // --- looking ---

  virtual task<result<upload>> find(std::string id) = 0; // errc::not_found

  // In order of id, at most filter.limit.
  virtual task<result<std::vector<upload>>> list(upload_filter filter) = 0;

  // Forgets uploads that are completed, failed or expired and were created before then, at most so many, and never one
  // of which a message is still due. Their dead letters go with them. Answers how many.
  virtual task<result<std::size_t>> purge_uploads(millis_clock created_before, std::size_t max) = 0;

  // Can it write now? When it can, what was written behind before this call is durable.
  virtual task<result<void>> flush() = 0;
};

} // namespace postern
