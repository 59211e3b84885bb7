// The completer: turns a report that an object has arrived into a recorded completion. Reports come by redirect or by
// event, and flow/completion/sweep asks about uploads without a report. No report is proof: the completer asks the
// store, validates the object, and has the completion recorded. Owned by the node, shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/events/event.hpp>
#include <postern/core/upload.hpp>
#include <postern/flow/admission/rate_limiter.hpp>
#include <postern/flow/completion/record.hpp>
#include <postern/flow/completion/verify.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/shared/shared_head.hpp>
#include <postern/io/store.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace postern {

// The query parameters of a success redirect (GET /v1/complete/{claim}). Each may be absent: a client whose form asked
// for a status instead of the redirect calls complete_url itself, and the claim names the object.
struct redirect_parameters {
  std::optional<std::string> bucket, key, etag;
};

struct redirect_outcome {
  claim claimed;
  upload recorded;         // completed; unchanged when the store could not be asked
  bool is_pending = false; // the store could not be asked; the sweep asks it again
};

enum class event_outcome {
  recorded, // the upload is completed, by this event or before it
  pending,  // the store could not be asked, or now has another object under the key: the sweep checks again
  ignored,  // the event concerns no upload, or the object is not the one that was signed
};

class completer {
public:
  // The references must outlive this. `retention`: the ledger deletes older uploads; 0: it deletes none. `bytes` looks
  // at the bytes of objects; null: nobody does.
  completer(const signer& own, store& objects, ledger& records, const recorder& completions,
            std::chrono::milliseconds retention = {}, const verifier* bytes = nullptr)
      : own_(own), store_(objects), heads_(objects), ledger_(records), recorder_(completions), retention_(retention),
        verifier_(bytes) {}

  // Completes the upload that the claim names. `client`: the network of the client, as in shared_head::ask. When the
  // store cannot be asked, the outcome is pending. errc::forbidden: the claim is forged, altered or expired, or bucket
  // or key are not the claim's. errc::object_absent. errc::conflict: the object is not the one that the claim describes
  // (id, size, content type, ETag), or the upload was removed. errc::type_mismatch: as examine.
  // errc::too_many_requests: the claim's form has no file name, and the claim was shown again and again.
  // errc::ledger_failed, errc::unavailable: retry.
  task<result<redirect_outcome>> complete_by_redirect(std::string token, redirect_parameters query, std::string client,
                                                      millis_clock now);

  // Completes the upload whose object an authentic sender reports. Idempotent; events may come in any order. The object
  // is compared with the upload's row. If the ledger has no row, because the process that signed the form was killed
  // before the row was written, the upload is rebuilt from the object's metadata. After completion, an object with
  // another ETag is recorded as an overwrite. `silent`: the buckets about which a store gave no answer to an earlier
  // event of the same message, and is not asked again; the call adds its own if there is none now. errc::ledger_failed,
  // errc::unavailable: nothing was recorded; the sender must retry.
  task<result<event_outcome>> complete_by_event(object_event event, millis_clock now, bucket_names& silent);

  // Asks the store for the upload's object and compares id, size, content type and, where given, ETag; then its bytes
  // are looked at, if the profile says so. errc::object_absent: there is none. errc::conflict: it is another one.
  // errc::type_mismatch: it is not what it declares, and the upload has failed. Any other failure: the store could not
  // be asked. `client` as in shared_head::ask.
  task<result<stored_object>> examine(upload u, std::optional<std::string> etag, std::string client = {});
  // The same, also for an upload whose file name, and with it the key, is unknown, because the browser sent the form
  // straight to the store: lists the keys that the form allowed, and sets u.key to the one whose object carries the id.
  // `u` must outlive the call.
  task<result<stored_object>> find_object(upload& u);
  // As recorder::record.
  task<result<upload>> record(upload u, stored_object found, completion_source source, millis_clock now);

private:
  task<result<upload>> find_by_key(object_event event);
  task<result<stored_object>> head_of(upload u, std::string client = {});
  task<result<upload>> rebuild_from_object(object_event event, millis_clock now);

  const signer& own_;
  store& store_;
  shared_head heads_;
  ledger& ledger_;
  const recorder& recorder_;
  const std::chrono::milliseconds retention_;
  const verifier* const verifier_;
  // A form without a file name covers any key below its prefix, and each costs the store a request.
  rate_limiter claims_{1, 20, "this claim may be shown 20 times at once, and then once a second"};
};

// Does a claim on `claimed_key` cover `key`? A claim that was made before the file's name was known ends in ${filename}
// and covers every key with the prefix before it.
bool covers_key(std::string_view claimed_key, std::string_view key);

// The row of an upload that is known by its claim only.
upload upload_of(const claim& c, std::string key);

} // namespace postern
