// The contract of the ledger, which records uploads and the webhooks that the application is still to receive. Each
// method is one transaction, named for its meaning. The node owns the ledger; all threads share it. Nodes that share a
// database see each other's committed changes.
//
// Writes queue up for one writer thread, which commits everything in its queue at once (group commit). Writes of one
// upload run in the order of the calls. issue, start_receiving and record_progress are written behind: they return at
// once and become durable soon. When any other write succeeds, its change is durable.
// Reads (find, find_all, find_usage, list, list_webhooks, has_message) use other connections and never wait for the
// writer. They see everything that is committed. find also sees this process's earlier writes of its upload, committed
// or not; only then does it wait for the writer.
//
// Any method that waits can fail with errc::ledger_failed (the database rejected the statement or is broken) or
// errc::unavailable (the database cannot be reached, or a queue is full). A failed write may nevertheless be recorded,
// if only the reply was lost. Methods are idempotent, so the caller can retry.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/multipart/open_multipart.hpp>
#include <postern/core/object.hpp>
#include <postern/core/quota.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/tasks.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace postern {

using bucket_names = std::set<std::string>;

// An object exists in the store. Holds everything that is needed to record the upload if the ledger has no row of it.
struct completion {
  upload
      of; // id, profile, user, bucket, key, metadata, min_size, max_size, created_at, expires_at; all else is ignored
  std::uint64_t size = 0;
  std::string etag;
  std::optional<std::uint32_t> crc32c;
  millis_clock at{};
  completion_source by = completion_source::redirect;
  std::optional<upload_way> way{};
  std::optional<millis_clock> claim_until; // see upload
  // The application must accept the object first: the upload becomes checking. Then final_key may be set, see upload.
  bool needs_verdict = false;
  std::string final_key;
  // The store was asked, and has this object now. Only then is it an overwrite when the upload is completed with
  // another ETag already.
  bool is_current = true;
};

// The first parts of an upload are to come, or further ones.
struct started_parts {
  upload row;
  open_multipart parts;
};

// The multipart uploads that Postern has begun and not ended.
struct multipart_totals {
  std::uint64_t count = 0, bytes = 0; // bytes: that the stores may hold of them, at most
};

// What the ledger has after a completion.
struct confirmation {
  upload row;
  bool is_new = false; // this call has changed its state
};

struct upload_filter {
  std::optional<upload_state> state{};
  std::string after_id{};              // only greater ids (ids sort by time of creation); empty: all
  std::optional<millis_clock> since{}; // created at or after this time
  std::size_t limit = 100;
  bool newest_first = false; // in falling order of id
  // Only completed uploads that will be removed for want of a claim, the next one first; of the above, `limit` counts.
  bool unclaimed = false;
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

// How often something was admitted that a rate limits. `id` names the limit and the user: at most 64 letters and
// digits.
struct rate_count {
  std::string id;
  std::uint64_t taken = 0;
};

// How many messages to one endpoint the caller has room for.
struct webhook_demand {
  std::string url;
  std::size_t max = 0;
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

  // The same for an upload of a profile with a quota: also reserves its max_size, in one transaction, and waits for it.
  // confirm charges the object's size, and expire gives the reservation back. While the form can be posted again with
  // another size, the rest stays reserved: after fail, and after confirm where the form allows several sizes. Such a
  // completed upload has a check then, which ends with settle. errc::payload_too_large, errc::quota_exceeded: see
  // core/quota; nothing was recorded.
  virtual task<result<void>> reserve(upload u, quota limits) = 0;

  // The first bytes of the upload have arrived at this node. `attempt` is a new id: a form may be posted several times,
  // on several nodes, and only the newest attempt decides what becomes of the row. Written behind. Creates the row if
  // it is missing. No effect on a completed upload.
  virtual void start_receiving(upload u, std::string attempt) = 0;

  // The same for a form that was signed before the file's name was known: reserves u.key for the upload, and returns
  // the row. `signed_key` ends in ${filename}. Of several names that are posted at once, on any nodes, the first one in
  // the ledger owns the form, for good. errc::conflict: another name owns it.
  virtual task<result<upload>> reserve_key(upload u, std::string signed_key, std::string attempt) = 0;

  // How many bytes of each upload this node has received so far, for readers on other nodes. These uploads are active:
  // the sweep does not check them before `not_before`. Written behind. Only uploads in the state receiving change.
  virtual void record_progress(std::vector<std::pair<std::string, std::uint64_t>> received,
                               millis_clock not_before) = 0;

  // Records the completion, or that the object waits for a verdict, and returns the row. Idempotent for the same
  // object. If the upload is already completed with another ETag, the completion stays; where the object is current,
  // overwritten_at is set, and the overwrite is announced. Overwrites within a second are one message, about the
  // newest. An upload that is being checked or removed, or was rejected or removed, stays as it is.
  virtual task<result<confirmation>> confirm(completion c) = 0;

  // The attempt ended without an object, and the form can be posted again: receiving becomes issued. No effect if
  // another attempt has begun since.
  virtual task<result<void>> break_off(std::string id, std::string attempt) = 0;

  // The attempt was refused for good: the upload becomes failed. Announced once an upload, however often it fails.
  // `code` is errc_text::name. Creates the row if it is missing, and returns it. No effect if another attempt has begun
  // since, or if the upload is completed or expired. An empty `attempt` stands for the object that is in the store,
  // whichever attempt brought it.
  virtual task<result<upload>> fail(upload u, std::string attempt, std::string code, millis_clock at) = 0;

  // --- verdicts about uploads in the state checking ---

  // Leases at most `max` of those that are due: their hook is to be asked, or they are accepted and their object is to
  // be moved. As lease_due_checks.
  virtual task<result<std::vector<upload>>> lease_due_verdicts(millis_clock now, millis_clock leased_until,
                                                               std::size_t max) = 0;
  // The verdict, or the move of an accepted object, is due again at `at`. `has_failed`: counts in upload::asked.
  virtual task<result<void>> postpone_verdict(std::string id, millis_clock at, bool has_failed) = 0;
  // The object with this ETag is accepted, and to be moved; due again at `leased_until`. Empty: whatever object is
  // checked. Returns the row; also one that was completed before. errc::conflict: another object is checked, or any
  // other state. errc::not_found.
  virtual task<result<upload>> accept(std::string id, std::string etag, millis_clock leased_until) = 0;
  // Another object was found in the place of the one that is checked: its check begins anew. Returns the row.
  virtual task<result<upload>> check_again(std::string id, stored_object found, millis_clock at) = 0;
  // An accepted object is at its final key, with this ETag there: the upload is completed, as by confirm. The form can
  // be posted until it expires, so the upload has one check more, after which settle is called. is_new: this call did
  // it.
  virtual task<result<confirmation>> finish_accepting(std::string id, std::string etag, millis_clock at,
                                                      std::optional<millis_clock> claim_until) = 0;
  // The object with this ETag (empty: whatever object is checked) is rejected: its quota is given back. Has one check
  // more, as above. Returns the row; also one that was rejected before. `is_gone`: the object has disappeared, so it is
  // rejected even if it was accepted. errc::conflict: it was accepted, another object is checked, or another state.
  // errc::not_found.
  virtual task<result<confirmation>> reject(std::string id, std::string etag, std::string reason, millis_clock at,
                                            bool is_gone) = 0;

  // --- what becomes of a completed upload ---

  // The application has the upload, under its own `reference`: it is not removed for want of a claim. Idempotent for
  // the same reference. Returns the row. errc::conflict: it was claimed with another reference, or is not completed.
  // errc::not_found.
  virtual task<result<upload>> claim_upload(std::string id, std::string reference, millis_clock at) = 0;

  // Before an object is deleted, its upload becomes removing: completed uploads only. Its check is due at
  // `leased_until`, in case the caller does not get on with it. Returns the row, also if it is removing or removed
  // already. errc::conflict: any other state. errc::not_found.
  virtual task<result<upload>> start_removing(std::string id, millis_clock leased_until) = 0;

  // The same for at most `max` uploads that nobody has claimed, the longest overdue first. Uploads in the buckets
  // `without` are left out.
  virtual task<result<std::vector<upload>>> start_removing_unclaimed(millis_clock now, millis_clock leased_until,
                                                                     std::size_t max, bucket_names without) = 0;

  // The object is gone: removing becomes removed, which is announced, and the upload no longer counts to the totals of
  // its quota; to those of its day it does. While the form can be posted again, it has a check, which ends with settle.
  // Returns the row. errc::not_found.
  virtual task<result<upload>> finish_removing(std::string id, millis_clock at) = 0;

  // --- checks: uploads for which the store must be asked whether the object exists ---

  // Schedules a check, because the object may exist but the store could not be asked. Creates the row if it is missing.
  // Replaces an earlier time and ends a lease. Returns the row. A completed upload needs no check, nor does one that
  // was removed.
  virtual task<result<upload>> check_later(upload u, millis_clock at) = 0;

  // Returns at most `max` uploads whose check is due, the longest due first: those of check_later, and uploads that are
  // not completed although their policy and the grace period have ended, or whose removal has not ended. Leases them:
  // no other call, on any node, gets them before `leased_until`. confirm, expire and finish_removing end the lease.
  // Uploads in the buckets `without` are left out: their store gives no answer now. With probes, those whose form can
  // still be posted are due for lease_due_probes alone.
  virtual task<result<std::vector<upload>>> lease_due_checks(millis_clock now, millis_clock leased_until,
                                                             std::size_t max, bucket_names without) = 0;

  // The same for uploads that are not completed, and whose form can still be posted. The first probe is due
  // ledger_options::first_probe after the form was signed; the next one when check_later says so.
  virtual task<result<std::vector<upload>>> lease_due_probes(millis_clock now, millis_clock leased_until,
                                                             std::size_t max, bucket_names without) = 0;

  // The store has no object, and the policy has ended. issued and receiving become expired; failed and completed stay.
  // No further checks. Returns the row, or errc::not_found.
  virtual task<result<upload>> expire(std::string id, millis_clock at) = 0;

  // The form of a completed or removed upload can no longer be posted: its quota is charged for what the store has now,
  // and nothing stays reserved. Without `stored`, because there is no object any more, the charge stays. No further
  // checks.
  virtual task<result<void>> settle(std::string id, std::optional<std::uint64_t> stored) = 0;

  // --- multipart uploads that are open in a store ---

  // The upload m.id gets its bytes by m.way, multipart or resumable: it becomes receiving, and the abort of them is due
  // at m.due_at. While its form can still be posted, the checks of the form go on; then the next one is due at
  // m.due_at, too. Creates the row of its parts if it is missing; of an existing one, only due_at, a larger number of
  // bytes and a length that was not known change. Returns both rows. errc::not_found. errc::conflict: the upload's
  // state allows no parts.
  virtual task<result<started_parts>> start_parts(open_multipart m) = 0;
  // A node is to begin a multipart upload for a fallback upload. The row comes first, so that the parts are not left in
  // the store if the node dies.
  virtual task<result<void>> begin_multipart(open_multipart m) = 0;
  // The store has named it. Of several names, the first one stays. Returns the row, or errc::not_found.
  virtual task<result<open_multipart>> name_multipart(std::string id, std::string store_id) = 0;
  // One request at a time adds bytes to a resumable upload. `holder`, a new id of the request, has the upload until
  // `until`, unless another one has it: then that one reads in wanted_by that it must let go. Returns the row, whose
  // holder says who has it. errc::not_found.
  virtual task<result<open_multipart>> take_turn(std::string id, std::string holder, millis_clock now,
                                                 millis_clock until) = 0;
  // Records what the store keeps, and has the upload until `until`; 0: no longer. The abort is due at `due_at`. Returns
  // the row. errc::conflict: another request has taken the upload, so this one must not write to it any more.
  virtual task<result<open_multipart>> keep_turn(std::string id, std::string holder, kept_bytes kept,
                                                 millis_clock until, millis_clock due_at) = 0;
  // These are alive: they are not due before `due_at`. Written behind.
  virtual void keep_multiparts(std::vector<std::string> ids, millis_clock due_at) = 0;
  // It is completed or aborted in the store. If its upload still waits for bytes, the upload becomes issued. Does
  // nothing if the row has another name than `store_id` by now: it has begun anew. Without `store_id`, which is for
  // fallback uploads, whatever its name is. Written behind. Idempotent.
  virtual void end_multipart(std::string id, std::optional<std::string> store_id) = 0;
  // Leases at most `max` that are due to be aborted, as lease_due_checks does.
  virtual task<result<std::vector<open_multipart>>> lease_due_multiparts(millis_clock now, millis_clock leased_until,
                                                                         std::size_t max, bucket_names without) = 0;
  // The rows for this object.
  virtual task<result<std::vector<open_multipart>>> list_multiparts(object_name name) = 0;
  // errc::not_found.
  virtual task<result<open_multipart>> find_multipart(std::string id) = 0;
  virtual task<result<multipart_totals>> count_multiparts() = 0;

  // --- webhooks ---

  // Leases messages that are due, as lease_due_checks does: for each endpoint at most its `max`. Completions go ahead
  // of the rest, which has an eighth of the places so that it never starves; in each group the longest due goes first.
  // A message to an endpoint that is not asked for is not touched, so it may wait without any cost. If no node has a
  // message's endpoint (ledger_options::endpoints), the message becomes a dead letter after a day.
  virtual task<result<std::vector<webhook>>> lease_due_webhooks(millis_clock now, millis_clock leased_until,
                                                                std::vector<webhook_demand> demands) = 0;
  // The endpoint accepted the message. No effect if the message does not exist.
  virtual task<result<void>> record_delivery(std::string webhook_id) = 0;
  // The endpoint did not accept the message. Without `retry_at` it becomes a dead letter.
  virtual task<result<void>> record_failed_delivery(std::string webhook_id, std::string why,
                                                    std::optional<millis_clock> retry_at) = 0;
  // The endpoint is silent: its messages that have been due since before `due_before` become dead letters. Returns the
  // number of messages.
  virtual task<result<std::size_t>> expire_webhooks(std::string url, millis_clock due_before, std::string why) = 0;
  // The endpoint refuses all further messages. Its messages, and new ones, become dead letters until one is retried.
  virtual task<result<void>> stop_endpoint(std::string url, std::string why) = 0;

  // At most filter.limit messages in order of creation.
  virtual task<result<std::vector<webhook>>> list_webhooks(webhook_filter filter) = 0;
  // Makes dead letters due now, with no failed attempts, and resumes their endpoints. Without ids: all dead letters and
  // all endpoints. Returns the number of messages.
  virtual task<result<std::size_t>> retry_webhooks(std::vector<std::string> ids, millis_clock now) = 0;
  // Deletes dead letters. Without ids: all. Returns the number of messages.
  virtual task<result<std::size_t>> purge_webhooks(std::vector<std::string> ids) = 0;

  // When the oldest message was created that is neither delivered nor a dead letter. Nothing: there is none.
  virtual task<result<std::optional<millis_clock>>> oldest_webhook() = 0;

  // --- messages from outside ---

  static constexpr std::chrono::hours message_memory{2};
  // Whether any node has handled a message with this id during that time.
  virtual task<result<bool>> has_message(std::string id, millis_clock now) = 0;
  // A message was handled. Forgets those of longer ago.
  virtual task<result<void>> note_message(std::string id, millis_clock now) = 0;

  // --- the secrets of the nodes ---

  // A node signs with the secret that has this fingerprint (signer::fingerprints).
  virtual task<result<void>> note_secret(std::string fingerprint, millis_clock now) = 0;
  // The fingerprints of the secrets with which nodes have signed since then.
  virtual task<result<std::vector<std::string>>> list_secrets(millis_clock since) = 0;

  // --- rates that several nodes hold together ---

  static constexpr std::chrono::seconds rate_memory{20};
  // Adds to what this node has admitted, and returns for each id how often the other nodes have admitted the same, in
  // one transaction. Only differences between two totals mean anything: a total falls when a node has added nothing for
  // rate_memory. Not idempotent: after a failure, do not retry. In a ledger of one node, does nothing and returns
  // nothing.
  virtual task<result<std::vector<rate_count>>> exchange_rates(std::string node, std::vector<rate_count> taken,
                                                               millis_clock now) = 0;

  // --- uploads ---

  // errc::not_found if the ledger has no such id.
  virtual task<result<upload>> find(std::string id) = 0;

  // What the uploads of this profile and this user hold, and what those of that day hold (quota, day_of).
  virtual task<result<quota_usage>> find_usage(std::string profile, std::string user, std::int64_t day) = 0;

  // The committed rows of these ids in any order, in one statement. Unknown ids are left out.
  virtual task<result<std::vector<upload>>> find_all(std::vector<std::string> ids) = 0;

  // At most filter.limit committed rows in order of id, or the newest ones in falling order.
  virtual task<result<std::vector<upload>>> list(upload_filter filter) = 0;

  // Deletes at most `max` uploads that are completed, failed or expired and were created before this time, with their
  // dead letters. An upload with a message that is still due stays. Returns the number of uploads.
  virtual task<result<std::size_t>> purge_uploads(millis_clock created_before, std::size_t max) = 0;

  // Waits until all earlier calls are durable. Fails if the ledger cannot be written now, or if what it writes would be
  // gone after a restart.
  virtual task<result<void>> flush() = 0;
};

} // namespace postern
