// The verifier: looks at the first bytes of files whose profile says verify = ["type"], before their completion is
// recorded. A file that is not what it declares fails with errc::type_mismatch. Owned by the node, shared by all
// threads; the completer and the transfers ask it.
//
// What it sees are the first 4 KiB, no more: a file that begins as a PNG and goes on as HTML is a PNG here.
// An upload whose profile is unknown, because the ledger has no row of it or the configuration has dropped the profile,
// is looked at if any profile asks for it; its object is deleted if all of those profiles say so.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/object.hpp>
#include <postern/core/profile.hpp>
#include <postern/core/upload.hpp>
#include <postern/io/ledger.hpp>
#include <postern/io/store.hpp>
#include <postern/io/type_finder.hpp>

#include <functional>
#include <map>
#include <string>

namespace postern {

class verifier {
public:
  // The references must outlive this, and the finder too. `finder` may be null if no profile has verify = ["type"].
  verifier(const std::map<std::string, profile>& profiles, type_finder* finder, store& objects, ledger& records,
           std::function<millis_clock()> clock);

  // Whether the first bytes of such an upload are looked at.
  bool looks_at(const std::string& profile) const { return rules_of(profile).checks(profile_check::type); }

  // Judges a file that is not stored yet. errc::type_mismatch. errc::unavailable: nobody can look now.
  task<result<void>> judge(std::string profile, std::string content_type, std::string first_bytes) const;

  // Judges the object of an upload that is not completed. errc::type_mismatch: the upload is recorded as failed, and
  // the object is deleted if the profile says so and its ETag is still the one that was looked at. A completed upload
  // does not fail: its new object is an overwrite. Nor does one that is being checked, whose caller rejects it.
  // errc::unavailable, errc::store_failed, errc::ledger_failed: ask later.
  task<result<void>> examine(upload u, stored_object found) const;

private:
  const profile& rules_of(const std::string& name) const;
  task<result<std::string>> read_beginning(const upload& u, const stored_object& found) const;
  task<> remove(upload u, std::string etag) const;

  const std::map<std::string, profile>& profiles_;
  profile rules_of_unknown_;
  type_finder* const finder_;
  store& store_;
  ledger& ledger_;
  const std::function<millis_clock()> clock_;
};

} // namespace postern
