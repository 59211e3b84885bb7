// Private to io/files: the objects below a prefix. Blocking; any thread.
#pragma once

#include "file_root.hpp"

#include <string>
#include <vector>

namespace postern {

// The keys of the bucket's objects that begin with `prefix`, at most `max`. Links are not followed. A prefix that no
// key can have, and a bucket that does not exist, have none. errc::store_failed.
result<std::vector<std::string>> list_keys(const file_root& r, const std::string& bucket, const std::string& prefix,
                                           std::size_t max);

} // namespace postern
