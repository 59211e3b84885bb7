// The API keys of the application's back ends, a link in the chain of admission. Built once from the configuration,
// then read by all threads.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/flow/admission/admit.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace postern {

// A key for the application's back end, sent as "Authorization: Bearer KEY".
struct api_key {
  std::string name;
  std::string sha256;                // of the key, lower-case hex; the key itself is stored nowhere
  std::vector<std::string> profiles; // "*": all
  caller_rights rights = default_rights;
  std::optional<seconds_clock> expires{}; // nothing: never
};

// Recognizes the keys in `keys`. Takes the same time whichever key matches. errc::unauthorized: the key has expired.
admission_link_ptr make_api_key_link(std::vector<api_key> keys, std::function<seconds_clock()> clock);

} // namespace postern
