// The contract for finding the type of a file from its first bytes. The node owns one finder; all threads share it.
// io/magic/magic_type_finder is the real one.
#pragma once

#include <postern/base/error.hpp>
#include <postern/io/tasks.hpp>

#include <string>

namespace postern {

class type_finder {
public:
  virtual ~type_finder() = default;

  // The media type of a file that begins with these bytes, of which the first looked_at_bytes (core/file_type) count.
  // Empty: unknown, because the look crashed or took too long. errc::unavailable: nobody could look now, which says
  // nothing about the file; ask later.
  virtual task<result<std::string>> find(std::string first_bytes) = 0;
};

} // namespace postern
