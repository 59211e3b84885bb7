// Issues forms: has them signed, and records them in the ledger. Owned by the node, shared by all threads.
#pragma once

#include <postern/flow/sign.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/tasks.hpp>

#include <string>

namespace postern {

class form_issuer {
public:
  // The references must outlive this.
  form_issuer(const form_signer& forms, ledger& records) : form_signer_(forms), ledger_(records) {}

  // The arguments must outlive the call. As form_signer::sign. Where the profile or the caller has a quota, room for
  // the upload is reserved first: errc::payload_too_large and errc::quota_exceeded, as ledger::reserve;
  // errc::forbidden, a quota of 0; errc::unavailable or errc::ledger_failed when the ledger is away. Otherwise the
  // ledger is not waited for. signed_form::row stays only if the client asks for ways.
  task<result<signed_form>> issue(const sign_request& ask, const caller& who, millis_clock now) const;

  // The same for a form whose file name is not known yet, as form_signer::sign_blank. errc::bad_request under a quota.
  task<result<signed_form>> issue_blank(const std::string& profile, const std::string& return_to, const caller& who,
                                        millis_clock now) const;

  // The same for an upload that comes without a form, as form_signer::plan. Returns its row.
  task<result<upload>> issue_plain(const sign_request& ask, const caller& who, millis_clock now) const;

private:
  // errc::forbidden: the caller may upload nothing.
  result<quota> quota_of(const std::string& profile, const caller_limits& limits) const;

  const form_signer& form_signer_;
  ledger& ledger_;
};

// The row of an upload that may have been issued a moment ago, on another node: issuing writes behind, so this waits a
// little for it. Fails as ledger::find.
task<result<upload>> find_issued(ledger& records, std::string id, millis_clock now);

// The quota of a caller in a profile.
quota quota_for(const profile& rules, const caller_limits& limits);

} // namespace postern
