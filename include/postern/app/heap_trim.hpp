// Returns memory to the system that uploads have given back. glibc keeps it, with small blocks in use in between: what
// thousands of slow uploads needed would stay with this process, beside what the next uploads take. Owned by the node;
// used on its home thread.
#pragma once

#include <cstdint>
#include <limits>

namespace postern::app {

class heap_trim {
public:
  // Less than this is not worth the work.
  static constexpr std::int64_t step = 8 << 20; // bytes

  // `excess`: how many bytes of memory the process has beyond what its uploads have taken. True when that has grown by
  // a step; after the trim, tell what is left of it.
  bool is_due(std::int64_t excess);
  void note_trimmed(std::int64_t excess) { lowest_ = excess; }

  // Call it every few seconds. Trims the heap if that is due. `taken`: the memory of all uploads now, in bytes.
  void look(std::uint64_t taken);

private:
  std::int64_t lowest_ = std::numeric_limits<std::int64_t>::max() / 2;
};

} // namespace postern::app
