// The recorder: records that an upload is completed by an object, once, whoever reports it, and sees to what its
// profile says about completed uploads. Owned by the node, shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/profile.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <map>
#include <string>

namespace postern {

class recorder {
public:
  // `profiles` by name. The references must outlive this.
  recorder(ledger& records, store& objects, const std::map<std::string, profile>& profiles)
      : ledger_(records), store_(objects), profiles_(profiles) {}

  // Records a completion, or that the object waits for a verdict of the application; logs it when it is new. If the
  // upload is completed by another object already, the completion stays, and the store is asked: if it has another
  // object than the recorded one, that is recorded as an overwrite. errc::conflict: the upload is completed under
  // another key, because a form without a file name was used twice; or it was removed. errc::ledger_failed,
  // errc::unavailable.
  task<result<upload>> record(upload of, stored_object found, completion_source by, millis_clock at) const;

private:
  void apply_profile(completion& done) const;
  task<result<upload>> record_overwrite(completion other, upload row) const;

  ledger& ledger_;
  store& store_;
  const std::map<std::string, profile>& profiles_;
};

// Whether this failure is an answer about the object: there is none, it is another one, or not what it declares.
bool store_answered(const failure& f);

// Whether this failure says that the store gives no answer now, or that no store has the bucket: questions about other
// objects in the bucket would fail too.
bool is_silence(const failure& f);

// Counts and logs a completion that is new.
void note_completion(const upload& u);

// "the upload was removed" and the like, for an upload whose state is final.
failure no_longer_possible(const upload& u);

} // namespace postern
