// Callers whom the application names when it is asked ("forward auth"), a link in the chain of admission. The
// application gets the request's Cookie and Authorization and answers who the user is. Shared by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/flow/admission/admit.hpp>
#include <postern/io/auth/forward_auth.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace postern {

struct forward_link_options {
  bool sends_cookie = true, sends_authorization = true;
  // Header fields of the answer, in small letters.
  std::string user_header = "x-user";
  std::string profiles_header; // names, with blanks or commas between them; empty: all profiles
  std::string limits_header;   // like "max_size=10485760, quota=1073741824" (bytes); empty: the profile's limits alone
  std::string host, scheme;    // of server.public_url, for X-Forwarded-Host and X-Forwarded-Proto
  std::chrono::seconds cache{0};        // so long an answer 2xx serves the same question again
  std::vector<std::string> other_users; // names of API keys, whose uploads are nobody else's
  std::function<seconds_clock()> clock;
};

// Recognizes every request with credentials that are sent to the application. `application` must outlive the link.
// errc::unauthorized, errc::forbidden: the application said so (401, 403), or its user is one of other_users.
// errc::unavailable: it gave no answer, or one that names no user. errc::too_many_requests, as forward_auth::ask.
admission_link_ptr make_forward_link(forward_auth& application, forward_link_options options);

} // namespace postern
