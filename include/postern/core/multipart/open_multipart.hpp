// A multipart upload that Postern has begun in a store, until it is completed or aborted. A plain value of the ledger:
// whatever happens to the client or to the node, its parts are not left in the store for ever.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/core/multipart/part_sizes.hpp>
#include <postern/core/object.hpp>

#include <cstdint>
#include <string>

namespace postern {

struct open_multipart {
  // Of the upload whose parts its client sends. A fallback upload, whose parts a node sends, has an id of its own here,
  // because one form can be posted several times.
  std::string id;
  object_name name;
  std::string store_id;       // the store's name for it; empty: not recorded yet, or the node died before
  part_plan plan;             // of a client's parts
  bool has_checksums = false; // the store requires the CRC32C of each part
  std::uint64_t bytes = 0;    // that the store may hold of it, at most
  millis_clock created_at{};
  millis_clock due_at{}; // then it is abandoned, and to be aborted
};

} // namespace postern
