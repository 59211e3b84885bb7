// Callers who show a JSON Web Token (RFC 7519) of the application's own sign-in, a link in the chain of admission. The
// token's subject is the user. Shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/core/http/jwt.hpp>
#include <postern/flow/admission/admit.hpp>
#include <postern/io/auth/token_keys.hpp>

#include <functional>
#include <string>
#include <vector>

namespace postern {

struct jwt_link_options {
  token_rules rules;
  std::string profiles_claim; // names the profiles: a list, or one text with blanks between the names; empty: all
  std::string max_size_claim; // bytes of one upload, a whole number; empty: the profile's limit alone
  std::string quota_claim;    // bytes of all uploads in a profile, a whole number; empty: the profile's quota alone
  std::vector<std::string> other_users; // names of API keys, whose uploads are not a token's
  std::function<seconds_clock()> clock;
};

// Recognizes every bearer token of three or five parts. `keys` must outlive the link. errc::unauthorized: the token is
// wrong. errc::forbidden: its subject is one of other_users. errc::unavailable: there are no keys now.
admission_link_ptr make_jwt_link(token_keys& keys, jwt_link_options options);

} // namespace postern
