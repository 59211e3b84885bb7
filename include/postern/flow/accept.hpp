// The acceptor: has the application, or a virus scanner in its place, judge each stored object of a profile with an
// accept hook, and carries the verdict out. An accepted object is copied from quarantine to its final key, if it is
// still the one that was judged; a rejected one is deleted. The verdict is in the ledger before anything is done, so a
// node that is killed loses nothing: any node goes on. Owned by the node, shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/manage_request.hpp>
#include <postern/core/profile.hpp>
#include <postern/core/upload.hpp>
#include <postern/flow/completion/complete.hpp>
#include <postern/flow/webhook_post.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>

namespace postern {

// The hook of one profile. The question is a POST of the webhook upload.checking; webhook-id is chk_ and the upload's
// id. Answers: 200 {"verdict":"accept"}, 200 {"verdict":"reject","reason":"…"}, or 202: the verdict comes later.
struct verdict_hook {
  webhook_target to;
  std::chrono::milliseconds timeout{30'000}; // of one question
  std::chrono::milliseconds deadline{};      // of the verdict, from the moment when the object was stored
  std::chrono::milliseconds unclaimed{};     // as profile::unclaimed
};

struct acceptor_options {
  std::map<std::string, verdict_hook> hooks; // by profile
  std::function<millis_clock()> clock;
  std::function<double()> random; // from 0 to 1
  std::string user_agent = "Postern";
  std::chrono::milliseconds lease{60'000}; // of a verdict that is due: longer than any hook's timeout
  std::size_t max_in_flight = 64;          // questions and copies at the same time
  std::size_t max_of_bucket = 32;          // of these, for objects in one bucket: a silent store holds up no other
};

class acceptor {
public:
  // The references must outlive this.
  acceptor(acceptor_options options, store& objects, ledger& records, completer& completions)
      : options_(std::move(options)), store_(objects), ledger_(records), completer_(completions) {}

  // Begins to deal with the verdicts that are due, as members of `on`, and waits for none of them: a slow hook or copy
  // delays no other upload. A failure is logged, and its upload is due again later. One thread.
  task<> run_round(group& on);

  // The application's verdict, which need not have been asked for. Returns the upload: completed or rejected; still
  // checking if the store or ledger failed after the verdict was recorded (the next rounds go on), or if another object
  // was found, which is judged anew. Idempotent. errc::conflict: it has another verdict or another state, or the
  // verdict's ETag is not that of the object that is checked. errc::not_found, errc::ledger_failed, errc::unavailable.
  task<result<upload>> settle(std::string id, verdict said);

private:
  task<> pursue(upload u);
  task<result<void>> take_next_step(upload u);
  task<result<void>> wait_for_hook(const upload& u);
  task<result<upload>> accept(std::string id, std::string etag);
  task<result<upload>> reject(std::string id, verdict said);
  task<result<void>> ask(const upload& u, const verdict_hook& hook);
  task<result<void>> take_answer(const upload& u, http_response answer);
  task<result<void>> ask_later(const upload& u, std::string why);
  std::chrono::milliseconds pause_after(const upload& u) const;
  std::chrono::milliseconds time_to_move(const upload& u) const;
  millis_clock deadline_of(const upload& u) const;
  task<result<upload>> move(upload u);
  task<result<stored_object>> find_copy(const upload& u);
  task<result<upload>> check_again(upload u);
  static void note_rejection(const upload& u);

  const acceptor_options options_;
  store& store_;
  ledger& ledger_;
  completer& completer_;
  // In the thread of run_round:
  std::size_t in_flight_ = 0;
  std::map<std::string, std::size_t> in_flight_of_;  // by bucket
  std::map<std::string, millis_clock> silent_until_; // hooks that gave no answer, by profile
};

} // namespace postern
