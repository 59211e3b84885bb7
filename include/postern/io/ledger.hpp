// The contract of the ledger, which records uploads and the webhooks that the application is still to receive. Each
// method is one transaction, named for its meaning. The node owns the ledger; all threads share it. Nodes that share a
// database see each other's committed changes.
//
// Writes queue up for one writer thread, which commits everything in its queue at once (group commit). Writes of one
// upload run in the order of the calls. issue, start_receiving and record_progress are written behind: they return at
// once and become durable soon. When any other write succeeds, its change is durable.
// Reads (find, find_all, list, list_webhooks) use other connections and never wait for the writer. They see everything
// that is committed. find also sees this process's earlier writes of its upload, committed or not; only then does it
// wait for the writer.
//
// Any method that waits can fail with errc::ledger_failed (the database rejected the statement or is broken) or
// errc::unavailable (the database cannot be reached, or a queue is full). A failed write may nevertheless be recorded,
// if only the reply was lost. Methods are idempotent, so the caller can retry.
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

// An object exists in the store. Holds everything that is needed to record the upload if the ledger has no row of it.
struct completion {
  upload
      of; // id, profile, user, bucket, key, metadata, min_size, max_size, created_at, expires_at; all else is ignored
  std::uint64_t size = 0;
  std::string etag;
  std::optional<std::uint32_t> crc32c;
  millis_clock at{};
  completion_source by = completion_source::redirect;
};

struct upload_filter {
  std::optional<upload_state> state{};
  std::string after_id{};              // only greater ids (ids sort by time of creation); empty: all
  std::optional<millis_clock> since{}; // created at or after this time
  std::size_t limit = 100;
};

// One message to one endpoint. The ledger adds it in the transaction of the change that it announces (transactional
// outbox) and deletes it after delivery. A message that is no longer retried is kept as a dead letter.
struct webhook {
  std::string id; // the header webhook-id: the same in each attempt
  std::string upload_id;
  std::string url;
  std::string type;                    // "upload.completed"
  std::string payload;                 // the body, byte for byte
  unsigned tries = 0;                  // failed attempts
  millis_clock created_at{}, due_at{}; // due_at of a dead letter is 0
  bool is_dead = false;
  std::string last_error; // of the last failed attempt
};

struct webhook_filter {
  std::optional<bool> is_dead{};
  std::string upload_id{}, url{}; // empty: any
  std::size_t limit = 100;
};

class ledger {
public:
  virtual ~ledger() = default; // writes the queue; without the database, the queue is lost

  // --- changes of an upload ---

  // Records a signed upload. Written behind; a call that is lost is counted and logged. No effect if the id exists.
  virtual void issue(upload u) = 0;

  // The first bytes of the upload have arrived at this node. Written behind. Creates the row if it is missing. No
  // effect on a completed upload.
  virtual void start_receiving(upload u) = 0;

  // How many bytes of each upload this node has received so far, for readers on other nodes. These uploads are active:
  // the sweep does not check them before `not_before`. Written behind. Only uploads in the state receiving change.
  virtual void record_progress(std::vector<std::pair<std::string, std::uint64_t>> received,
                               millis_clock not_before) = 0;

  // Records the completion and returns the row. Idempotent for the same object. If the upload is already completed with
  // another ETag, the completion stays; overwritten_at is set, and an overwrite is announced once for each new ETag.
  virtual task<result<upload>> confirm(completion c) = 0;

  // Records that the upload failed, or that its fallback upload broke off, and returns the row. `code` is
  // errc_text::name. Creates the row if it is missing. A completed upload stays completed.
  virtual task<result<upload>> fail(upload u, std::string code, millis_clock at) = 0;

  // --- checks: uploads for which the store must be asked whether the object exists ---

  // Schedules a check, because the object may exist but the store could not be asked. Creates the row if it is missing.
  // Replaces an earlier time and ends a lease. Returns the row. A completed upload needs no check.
  virtual task<result<upload>> check_later(upload u, millis_clock at) = 0;

  // Returns at most `max` uploads whose check is due, the longest due first: those of check_later, and uploads that are
  // not completed although their policy and the grace period have ended. Leases them: no other call, on any node, gets
  // them before `leased_until`. confirm and expire end the lease.
  virtual task<result<std::vector<upload>>> lease_due_checks(millis_clock now, millis_clock leased_until,
                                                             std::size_t max) = 0;

  // The store has no object, and the policy has ended. issued and receiving become expired; failed and completed stay.
  // No further checks. Returns the row, or errc::not_found.
  virtual task<result<upload>> expire(std::string id, millis_clock at) = 0;

  // --- webhooks ---

  // Leases at most `max` messages that are due, the longest due first, as lease_due_checks does. Only messages to
  // ledger_options::endpoints: other nodes may have other endpoints. If no node has a message's endpoint, the message
  // becomes a dead letter after a day.
  virtual task<result<std::vector<webhook>>> lease_due_webhooks(millis_clock now, millis_clock leased_until,
                                                                std::size_t max) = 0;
  // The endpoint accepted the message. No effect if the message does not exist.
  virtual task<result<void>> record_delivery(std::string webhook_id) = 0;
  // The endpoint did not accept the message. Without `retry_at` it becomes a dead letter.
  virtual task<result<void>> record_failed_delivery(std::string webhook_id, std::string why,
                                                    std::optional<millis_clock> retry_at) = 0;
  // The endpoint refuses all further messages. Its messages, and new ones, become dead letters until one is retried.
  virtual task<result<void>> stop_endpoint(std::string url, std::string why) = 0;

  // At most filter.limit messages in order of creation.
  virtual task<result<std::vector<webhook>>> list_webhooks(webhook_filter filter) = 0;
  // Makes dead letters due now, with no failed attempts, and resumes their endpoints. Without ids: all dead letters and
  // all endpoints. Returns the number of messages.
  virtual task<result<std::size_t>> retry_webhooks(std::vector<std::string> ids, millis_clock now) = 0;
  // Deletes dead letters. Without ids: all. Returns the number of messages.
  virtual task<result<std::size_t>> purge_webhooks(std::vector<std::string> ids) = 0;

  // --- uploads ---

  // errc::not_found if the ledger has no such id.
  virtual task<result<upload>> find(std::string id) = 0;

  // The committed rows of these ids in any order, in one statement. Unknown ids are left out.
  virtual task<result<std::vector<upload>>> find_all(std::vector<std::string> ids) = 0;

  // At most filter.limit committed rows in order of id.
  virtual task<result<std::vector<upload>>> list(upload_filter filter) = 0;

  // Deletes at most `max` uploads that are completed, failed or expired and were created before this time, with their
  // dead letters. An upload with a message that is still due stays. Returns the number of uploads.
  virtual task<result<std::size_t>> purge_uploads(millis_clock created_before, std::size_t max) = 0;

  // Waits until all earlier calls are durable. Fails if the ledger cannot be written now.
  virtual task<result<void>> flush() = 0;
};

} // namespace postern
