// The form signer: checks a request for an upload against its profile and makes a form that S3 and the fallback both
// accept. Owned by the node, shared by all threads. Signing waits for nothing: the row is written behind, and the claim
// carries everything that a completion needs.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/base/error.hpp>
#include <postern/core/caller.hpp>
#include <postern/core/claim.hpp>
#include <postern/core/profile.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/s3/sigv4.hpp>
#include <postern/core/sign_request.hpp>
#include <postern/core/upload.hpp>
#include <postern/flow/form_store.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

// A way by which the client may send the file.
struct offered_way {
  upload_way way = upload_way::form;
  std::string url;                                          // put: the presigned one; multipart: that of the parts; resumable: the file's
  std::vector<std::pair<std::string, std::string>> headers; // that the request to `url` must have
  std::uint64_t part_size = 0;                              // multipart: bytes of each part but the last
};

struct signed_form {
  std::string id, bucket;
  std::string key; // of the object, once it is accepted; the field `key` may have a prefix for the time until then
  seconds_clock expires_at;
  std::string url, fallback_url;
  std::vector<form_field> fields; // in the form's order; the file follows, in a field named "file"
  std::string complete_url, status_url;
  std::optional<std::vector<offered_way>> ways; // the best first; nothing: the client did not ask
  std::shared_ptr<upload> row;                  // what the ledger records; moved there by form_issuer
};

std::string to_json(const signed_form& f);

// The fields of a form that come from the profile alone, such as Cache-Control and tagging.
std::vector<form_field> fields_of(const profile& rules);

struct form_signer_options {
  std::map<std::string, profile> profiles;
  std::string public_url; // without a slash at the end
  find_form_store find_store;
  std::chrono::seconds claim_lifetime{24 * 3600};
  std::size_t max_form = 20'000;             // bytes ahead of the file that S3 and the fallback take; 0: no limit
  std::size_t max_claim = signer::max_token; // bytes of a claim's token
};

class form_signer {
public:
  // `own` must outlive this.
  form_signer(form_signer_options options, const signer& own) : options_(std::move(options)), own_(own) {}

  // errc::bad_request (unknown profile, return_to not listed, a form that would be too large), errc::payload_too_large,
  // errc::entity_too_small (a declared size under the profile's), errc::unsupported_type, errc::key_too_long,
  // errc::unavailable (no credentials at the moment).
  result<signed_form> sign(const sign_request& ask, const caller& who, millis_clock now) const;

  // The row of an upload that comes without a form: checked as by sign, without what only S3 needs. Its time ends with
  // profile::expires. Fails as sign does.
  result<upload> plan(const sign_request& ask, const caller& who, millis_clock now) const;

  // A form for a page without JavaScript, whose file name is not known yet: the key ends in ${filename}, which the
  // claim carries too (see covers_key in flow/completion/complete). errc::bad_request when the profile's template does
  // not end in
  // ${filename}.
  result<signed_form> sign_blank(std::string_view profile, std::string return_to, const caller& who,
                                 millis_clock now) const;

  const profile* find_profile(std::string_view name) const;

private:
  struct day_key {
    std::string access_key, day;
    hmac_key key;
  };
  std::shared_ptr<const day_key> key_of(const sigv4::credentials& c, const sigv4::scope& s) const;
  result<upload> row_for(const profile& rules, const sign_request& ask, std::string_view filename, const caller& who,
                         millis_clock now) const;
  result<signed_form> sign_for(const profile& rules, const sign_request& ask, std::string_view filename,
                               const caller& who, millis_clock now) const;
  void add_signatures(signed_form& form, const length_range& length, const sigv4::credentials& keys,
                      const std::string& region, seconds_clock now) const;
  result<length_range> range_for(const profile& rules, const sign_request& ask, const caller_limits& limits) const;

  const form_signer_options options_;
  const signer& own_;
  mutable std::mutex mutex_; // guards day_key_; the std::atomic<std::shared_ptr> of GCC 12 has a data race in load()
  mutable std::shared_ptr<const day_key> day_key_; // of the last signature
};

// Is `url` in a list of exact URLs and of prefixes that end in * ? A prefix holds the whole origin and its slash; the
// configuration checks that.
bool is_listed(const std::vector<std::string>& listed, std::string_view url);

} // namespace postern
