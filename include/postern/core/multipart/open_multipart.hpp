// An upload that Postern has begun in a store, until it is completed or aborted: a multipart upload, or one that comes
// in several requests (way resumable). A plain value of the ledger: whatever happens to the client or to the node, its
// bytes are not left in the store for ever.
#pragma once

#include <postern/base/dates.hpp>
#include <postern/core/multipart/part_sizes.hpp>
#include <postern/core/object.hpp>
#include <postern/core/upload.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace postern {

// From the signing of the upload on. Calls of the client do not extend it any further.
inline constexpr std::chrono::days max_multipart_age{7};

struct open_multipart {
  // The id of the upload, if its client sends the parts. If a node sends them, for a fallback upload, a new id: one
  // form can be posted several times.
  std::string id;
  object_name name;
  std::string store_id;                  // the store's name for it; empty: not recorded yet, or the node died before
  part_plan plan;                        // of way multipart
  bool has_checksums = false;            // the store requires the CRC32C of each part
  std::uint64_t bytes = 0;               // that the store may hold of it, at most
  millis_clock created_at{};             // when the store was last asked to begin it
  millis_clock due_at{};                 // after this, the sweep aborts it
  upload_way way = upload_way::fallback; // by which its bytes come; multipart: from its client
  // Of way resumable:
  std::optional<std::uint64_t> length; // of the whole file, in bytes; nothing: not declared yet
  kept_bytes kept;                     // what the store keeps of it
  std::string holder;                  // the request that may add bytes until held_until; empty: none
  millis_clock held_until{};
  std::string wanted_by; // another request that waits until the holder has let go
};

} // namespace postern
