// Completion: somebody says that an object has arrived; believe nothing, ask the store, record it once. Owned by the
// node, shared by all threads.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/events/event.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace postern {

// What a success redirect brings (CONTRACT: GET /v1/complete/{claim}). The parameters may be absent: a form that asked
// for a status instead of the redirect leaves it to the client to call complete_url, and the claim names the object
// well enough.
struct redirect_parameters {
  std::optional<std::string> bucket, key, etag;
};

struct redirect_outcome {
  claim by;
  upload as; // state completed, or as it was when the store could not be asked
  bool pending = false;
};

// What became of an event.
enum class event_outcome {
  recorded, // the upload is completed, by this event or before it
  pending,  // the store could not be asked, or has another object there by now: the sweep asks it again
  ignored,  // nothing of ours, or not what was promised
};

class completer {
public:
  // What is passed must outlive this. `memory`: after so long the ledger forgets (0: never).
  completer(const signer& own, store& objects, ledger& records, std::chrono::milliseconds memory = {})
      : own_(own), store_(objects), ledger_(records), memory_(memory) {}

  // errc::forbidden: the claim is forged, altered or expired, or bucket or key are not the claim's.
  // errc::object_absent. errc::conflict: the object is not what the claim describes (id, size, ETag).
  // errc::ledger_failed, errc::unavailable: try again. A store that cannot be asked is no failure: pending.
  task<result<redirect_outcome>> by_redirect(std::string token, redirect_parameters said, millis_clock now);

  // An event of an authentic sender; any order, any number of times. The object is judged by what the ledger knows of
  // its upload, as a redirect's is by its claim. Of one of which it knows nothing, since the process that signed it
  // ended before that was written, the object itself tells: it carries in its metadata the id that stands in its key.
  // Another is ignored, and that is logged. Of a completed upload any object with another ETag is news. `silent`: the
  // store gave no answer to an earlier event of the same message and is not waited for again; set when it gives none
  // now. errc::ledger_failed, errc::unavailable: nothing was recorded; the sender must send it again.
  task<result<event_outcome>> by_event(object_event said, millis_clock now, bool& silent);

  // An upload of which it is time to ask the store (ledger::due_questions). The object is there: completed. It is not,
  // or not what was promised: expired, once its policy is. Answers the upload as recorded now. Any other failure than
  // the ledger's is the store's: it must be asked again.
  task<result<upload>> by_sweep(upload u, millis_clock now);

private:
  task<result<upload>> find_named(object_event said);
  task<result<stored_object>> head_of(upload u);
  task<result<upload>> tell_unknown(object_event said, millis_clock now);
  task<result<stored_object>> examine(upload u, std::optional<std::string> etag);
  task<result<upload>> record(upload u, stored_object found, completion_source by, millis_clock now);

  const signer& own_;
  store& store_;
  ledger& ledger_;
  const std::chrono::milliseconds memory_;
};

// Records a completion, and counts and logs it when it is news. errc::conflict: the upload was completed before under
// another key, so a form without a file's name was used twice.
task<result<upload>> confirm_once(ledger& records, completion fact);

// Is `key` the claimed one? A claim made before the file's name was known ends in ${filename} and names every key that
// begins with what stands before it.
bool names(std::string_view claimed, std::string_view key);

// What the ledger must remember of an upload that is known by its claim.
upload upload_of(const claim& c, std::string key);

// An ETag without its quotes and without W/.
std::string_view bare_etag(std::string_view etag);

} // namespace postern
