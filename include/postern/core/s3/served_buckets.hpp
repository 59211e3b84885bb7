// Which buckets a server answers for. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postern {

// Whether the bucket is served: it is in the list, or the list has "*" and the text can be the name of a bucket.
bool is_served(const std::vector<std::string>& buckets, std::string_view bucket);

} // namespace postern
