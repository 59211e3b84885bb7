// Into which parts a file is cut for a multipart upload. All parts have one size, except the last, which has the rest;
// an empty file is one empty part. Sizes in bytes. Follows the Amazon S3 User Guide, "Amazon S3 multipart upload
// limits". Pure.
#pragma once

#include <postern/base/error.hpp>

#include <cstdint>
#include <map>

namespace postern {

inline constexpr std::uint64_t min_part_size = 5 << 20; // the last part may be smaller
inline constexpr int max_parts = 10'000;                // of an upload, and the highest number of a part
inline constexpr std::uint64_t max_multipart_size = std::uint64_t{5} << 40;

struct part_plan {
  std::uint64_t size = 0, part_size = min_part_size;

  int count() const;
  std::uint64_t length(int number) const; // of the part with this number, from 1 to count()
};

// For a file of at most max_multipart_size. A part is large enough for few requests, and small enough that one lost
// part is no great loss.
part_plan plan_multipart(std::uint64_t size);

// Are these, by number, the lengths of all parts of the plan? errc::conflict says what is missing or has another size.
result<void> check_parts(const part_plan& plan, const std::map<int, std::uint64_t>& lengths);

} // namespace postern
