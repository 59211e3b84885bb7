#include <postern/core/s3/policy.hpp>
#include <postern/core/s3/served_buckets.hpp>

#include <algorithm>

namespace postern {

bool is_served(const std::vector<std::string>& buckets, std::string_view bucket) {
  return std::any_of(buckets.begin(), buckets.end(),
                     [&](const auto& b) { return b == bucket || (b == "*" && is_bucket_name(bucket)); });
}

} // namespace postern
