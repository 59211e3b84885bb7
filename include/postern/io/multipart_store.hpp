// The contract for stores whose multipart uploads others can send: clients PUT the parts to presigned URLs, while
// Postern begins, lists, completes and aborts. Follows the Amazon S3 User Guide, "Uploading and copying objects using
// multipart upload". One object is shared by all threads. See store::as_multipart_store.
#pragma once

#include <postern/base/error.hpp>
#include <postern/core/object.hpp>
#include <postern/io/tasks.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace postern {

// A multipart upload in the store: it has parts, and is no object yet.
struct store_upload {
  object_name name;
  std::string id; // the store's own name for it
};

struct multipart_rules {
  bool never_overwrite = false; // If-None-Match: *, where the store takes it
  // Of the whole object. The store compares it, if the upload was begun with checksums.
  std::optional<std::uint32_t> crc32c;
};

class multipart_store {
public:
  virtual ~multipart_store() = default;

  // `with_checksums`: the store is to require and verify the CRC32C of each part. Returns the store's id of the upload.
  // The errors of store::open.
  virtual task<result<std::string>> begin_multipart(object_name name, object_meta meta, bool with_checksums) = 0;

  // The parts that the store has, in order of their numbers. errc::object_absent: the store has no such upload.
  virtual task<result<std::vector<object_part>>> list_parts(store_upload upload) = 0;

  // Makes the object of these parts, and returns its ETag; empty when the store did not answer one. errc::conflict: an
  // object with this name exists, and must not be overwritten. errc::object_absent: the store has no such upload; it
  // may have been completed before. errc::bad_digest.
  virtual task<result<std::string>> complete_multipart(store_upload upload, std::vector<object_part> parts,
                                                       multipart_rules rules) = 0;

  // Deletes the upload and its parts. Idempotent.
  virtual task<result<void>> abort_multipart(store_upload upload) = 0;

  // The uploads of this object that were begun and are neither completed nor aborted; at most 1000.
  virtual task<result<std::vector<store_upload>>> list_multiparts(object_name name) = 0;
};

} // namespace postern
