// Resumable uploads: files that come to Postern in several requests (way resumable), between which the store keeps what
// has come. tus and the IETF's resumable uploads are two ways to say the same. The upload is a row of the ledger like
// any other, signed or created here, and its completion is the same fact. Owned by the node, shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/profile.hpp>
#include <postern/core/resumable/resumable.hpp>
#include <postern/core/s3/checksums.hpp>
#include <postern/flow/completion/complete.hpp>
#include <postern/flow/form_store.hpp>
#include <postern/flow/issue.hpp>
#include <postern/flow/resume/turns.hpp>
#include <postern/flow/transfer.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

struct resumable_options {
  std::map<std::string, profile> profiles;
  std::string public_url; // without a slash at the end
  find_form_store find_store;
  std::chrono::milliseconds grace{24 * 3600 * 1000}; // without a request for so long, an upload is abandoned
  std::function<millis_clock()> clock;
};

// An upload as its client sees it.
struct resumable_view {
  upload row;
  resumable_state state;
  millis_clock expires_at{}; // then it is abandoned
};

// What became of a request that adds bytes. `now_at` is known whenever the upload could be asked, also after a failure.
struct append_outcome {
  std::optional<resumable_view> now_at;
  result<void> how;
};

// The body of a request that adds bytes.
struct append_body {
  byte_source& bytes;
  allowance& share;
  checksums expected; // of the body; with them, all of it is kept or nothing
};

class resumable_uploads {
public:
  // The references must outlive this.
  resumable_uploads(resumable_options options, const signer& own, const form_issuer& issuer, store& objects,
                    ledger& records, transfers& running, completer& completions)
      : options_(std::move(options)), own_(own), issuer_(issuer), store_(objects), ledger_(records),
        transfers_(running), completer_(completions), turns_(records, options_.clock) {}

  // A new upload, admitted like one that is signed. Fails as form_issuer::issue_plain. errc::forbidden: the profile has
  // not the way resumable, or its store cannot keep unfinished uploads.
  task<result<resumable_view>> create(const sign_request& ask, const caller& who);

  // The upload's URL: it holds the upload token, which is valid for max_multipart_age from the signing on. Always the
  // same for one upload.
  std::string url_of(const upload& row) const;
  // The id in the last segment of such a URL. errc::not_found: the token is forged, altered or expired.
  result<std::string> id_of(std::string_view token) const;

  // How much of the upload has come. A request that is sending it must stop. When all of it has come, and its
  // completion failed, this completes it. errc::not_found: there is no such upload, or it is over.
  task<result<resumable_view>> find(std::string id);

  // Adds the body's bytes. What arrived before it broke off is kept; with a checksum only if that is right
  // (errc::bad_digest). With the last byte the upload is completed. errc::not_found as find. The failures of
  // check_append and of transfers::append. errc::conflict, too: another request goes on with the upload.
  // `max_length` of the state: what the store can take in this way.
  task<append_outcome> append(std::string id, append_request what, append_body body);

  // Removes what has come; the upload has failed then. errc::conflict: it is stored already. errc::not_found.
  task<result<void>> remove(std::string id);

private:
  struct target; // where its bytes go, and by which rules
  struct appending;
  task<result<upload>> find_row(std::string id);
  result<target> target_of(const upload& row) const;
  resumable_view view_of(upload row, const open_multipart* m) const;
  millis_clock due_of(const upload& row, millis_clock now) const;
  task<result<open_multipart>> start(const upload& row, const target& to, std::optional<std::uint64_t> length);
  task<result<void>> give_up_direct_parts(const upload& row);
  task<result<std::unique_ptr<turn>>> take_turn(const upload& row, const target& to);
  task<result<void>> begin_in_store(const upload& row, const target& to, turn& mine);
  task<result<std::unique_ptr<resumable_sink>>> resume_sink(const upload& row, const target& to, const turn& mine,
                                                            allowance* share);
  task<result<resumable_view>> view_now(std::string id);
  task<result<void>> add_bytes(appending& a);
  task<result<void>> add_to_completed(appending& a);
  task<result<void>> carry(appending& a);
  task<appended_body> read_body(appending& a);
  task<appended_body> append_to(appending& a, upload_plan& plan, incoming_file file, sink& into);
  task<result<void>> keep_rest(appending& a);
  task<result<void>> complete_again(appending& a);
  task<result<void>> finish(appending& a);
  task<result<void>> record(appending& a, std::optional<std::string> etag);
  task<append_outcome> settle(appending& a, result<void> how);

  const resumable_options options_;
  const signer& own_;
  const form_issuer& issuer_;
  store& store_;
  ledger& ledger_;
  transfers& transfers_;
  completer& completer_;
  turns turns_;
};

} // namespace postern
