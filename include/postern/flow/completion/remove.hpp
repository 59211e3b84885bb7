// The remover: deletes the objects of completed uploads, when a caller says so or when nobody has claimed the upload in
// time. First the ledger says that the upload is being removed, so a claim either comes before the removal or is
// refused. What carries the upload's id is deleted, also when its form was posted again since; an object of another
// upload is left in the store. Owned by the node, shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <cstddef>
#include <string>

namespace postern {

struct remover_options {
  std::chrono::milliseconds lease{120'000}; // of a removal that this node began: longer than one can last
  std::size_t max_in_flight = 32;           // removals of unclaimed uploads at the same time
};

class remover {
public:
  // The references must outlive this.
  remover(remover_options options, store& objects, ledger& records)
      : options_(options), store_(objects), ledger_(records) {}

  // Deletes the object of a completed upload, for good. Returns the upload, removed; one that was removed before too.
  // After a failure the sweep goes on with it. errc::conflict: the upload is not completed. errc::not_found.
  // errc::store_failed, errc::ledger_failed, errc::unavailable.
  task<result<upload>> remove(std::string id, millis_clock now) const;

  // The same for an upload in the state removing.
  task<result<upload>> finish(upload u, millis_clock now) const;

  // The form of `u` can no longer be posted. Deletes the object that it stored after the upload had ended, or after its
  // object was moved: whatever carries the upload's id.
  task<result<void>> delete_late_object(const upload& u) const;

  // Deletes a batch of uploads that nobody has claimed in time, but none of the buckets `silent`, to which it adds
  // those whose store gives no answer. True: more may be due. The sweep goes on with what was not deleted.
  task<bool> remove_unclaimed(millis_clock now, bucket_names& silent) const;

private:
  task<result<bool>> delete_object(const upload& u, std::string key) const;
  task<> finish_and_log(upload u, millis_clock now, bucket_names& silent) const;

  const remover_options options_;
  store& store_;
  ledger& ledger_;
};

} // namespace postern
