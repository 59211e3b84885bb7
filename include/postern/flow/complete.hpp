// Completion: somebody says that an object has arrived; believe nothing, ask the store, record it once. Owned by the
// node, shared by all threads.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/claim.hpp>
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

struct completed {
  claim by;
  upload as; // state completed, or as it was when the store could not be asked
  bool pending = false;
};

class completing {
public:
  // What is passed must outlive this.
  completing(const signer& own, store& keeps, ledger& remembers) : own_(own), store_(keeps), ledger_(remembers) {}

  // errc::forbidden: the claim is forged, altered or expired, or bucket or key are not the claim's.
  // errc::object_absent. errc::conflict: the object is not what the claim describes (id, size, ETag).
  // errc::ledger_failed, errc::unavailable: try again. A store that cannot be asked is no failure: pending.
  task<result<completed>> by_redirect(std::string token, redirect_parameters said, millis_clock now);

private:
  task<result<completed>> confirm(claim c, std::string key, std::optional<std::string> etag, millis_clock now);

  const signer& own_;
  store& store_;
  ledger& ledger_;
};

// Is `key` the claim's? A claim made before the file's name was known ends in ${filename} and names every key that
// begins with what stands before it.
bool names(const claim& c, std::string_view key);

// What the ledger must remember of an upload that is known by its claim.
upload upload_of(const claim& c, std::string key);

// An ETag without its quotes and without W/.
std::string_view bare_etag(std::string_view etag);

} // namespace postern
