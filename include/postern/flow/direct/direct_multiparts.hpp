// Multipart uploads whose parts the client sends straight to the store: begins them, signs the URLs of their parts,
// lists, completes and aborts them. Signing and listing move the upload's deadline, so a file may take days. Follows
// the Amazon S3 User Guide, "Uploading and copying objects using multipart upload". Owned by the node, shared by all
// threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/multipart/part_sizes.hpp>
#include <postern/core/multipart/parts_request.hpp>
#include <postern/core/profile.hpp>
#include <postern/flow/completion/complete.hpp>
#include <postern/flow/form_store.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/multipart_store.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace postern {

struct direct_multipart_options {
  std::map<std::string, profile> profiles;
  find_form_store find_store;
  std::chrono::milliseconds grace{24 * 3600 * 1000}; // without a call for so long, an upload is abandoned
};

struct signed_part {
  int number = 0;
  presigned_url at;
};

struct signed_parts {
  std::vector<signed_part> parts; // in the order of the request
  bool needs_checksums = false;   // every part needs its CRC32C
  std::string token;              // renewed
};

struct listed_parts {
  part_plan plan;
  std::vector<object_part> parts; // that the store has, in order of their numbers
  bool needs_checksums = false;   // as in signed_parts
  std::string token;              // renewed
};

class direct_multiparts {
public:
  static constexpr std::chrono::hours url_lifetime{1}; // at most: a URL ends with the credentials that signed it

  // The references must outlive this.
  direct_multiparts(direct_multipart_options options, const signer& own, store& objects, ledger& records,
                    completer& completions)
      : options_(std::move(options)), own_(own), store_(objects), ledger_(records), completer_(completions) {}

  // A URL for one PUT of each part. Begins the multipart upload in the store, if there is none yet. With the CRC32C of
  // each part in the first call, all later calls need them too, and the store verifies each part. errc::not_found.
  // errc::bad_request: a number that the file does not have, or a checksum is missing. errc::conflict: the upload was
  // signed without size, is stored already, is over, or is older than max_multipart_age. errc::unavailable and the
  // store's errors.
  task<result<signed_parts>> sign(std::string id, std::vector<asked_part> asked, millis_clock now);

  // The parts that the store has; none before the first call of sign. errc::not_found. errc::conflict as sign.
  task<result<listed_parts>> list(std::string id, millis_clock now);

  // Joins all parts to the object and records the completion. Idempotent. `etags`: by number; empty: whatever the store
  // has. errc::not_found. errc::conflict: parts are missing, have another size or ETag, or another object is there.
  // Also the errors of completer::examine.
  task<result<upload>> complete(std::string id, std::map<int, std::string> etags, millis_clock now);

  // Deletes the parts; the upload can begin again until its form expires. Idempotent. errc::not_found. errc::conflict:
  // the upload is stored already.
  task<result<upload>> abort(std::string id, millis_clock now);

private:
  struct target; // where its parts go, and by which rules
  result<target> target_of(const upload& row) const;
  task<result<started_parts>> start(upload row, const target& at, std::vector<asked_part> asked, millis_clock now);
  task<result<open_multipart>> begin_in_store(upload row, target at, open_multipart m);
  task<result<open_multipart>> complete_in_store(upload row, target at, std::map<int, std::string> etags);
  task<> remove_leftovers(multipart_store& parts, result<open_multipart> completed, std::string id, millis_clock now);
  millis_clock due_of(const upload& row, millis_clock now) const; // when its parts are abandoned
  std::string token_of(const std::string& id, millis_clock now) const;
  store_abilities abilities_of(const std::string& bucket) const;

  const direct_multipart_options options_;
  const signer& own_;
  store& store_;
  ledger& ledger_;
  completer& completer_;
};

} // namespace postern
