// What signing and verifying a form needs of the store that has the form's bucket. Plain values; `app/stores` fills
// them in, and they live as long as the node.
#pragma once

#include <postern/io/aws/credentials.hpp>
#include <postern/io/store_abilities.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>

namespace postern {

// The credentials that are valid now, without waiting; nullptr: there are none. Any thread.
using current_credentials = std::function<credentials_ptr()>;

struct form_store {
  std::string region; // that signatures name
  current_credentials credentials;
  store_clock_difference ahead = [] { return std::chrono::seconds(0); }; // of this machine's clock
  // By bucket: the form's action. A bucket without one has the fallback only.
  std::map<std::string, std::string> direct_urls{};
  std::size_t max_key_part = 0; // bytes between two slashes of a key; 0: no limit
  // As they are known now: the store is asked at the start, which may take a while. Any thread.
  std::function<store_abilities()> abilities = [] { return assumed_abilities; };
};

// The store that has this bucket; nullptr: none. Any thread.
using find_form_store = std::function<const form_store*(const std::string& bucket)>;

// There is one store, and it has this bucket; without a name, all buckets.
inline find_form_store only(form_store one, std::string bucket = {}) {
  return [one = std::move(one), bucket = std::move(bucket)](const std::string& wanted) {
    return bucket.empty() || wanted == bucket ? &one : nullptr;
  };
}

} // namespace postern
