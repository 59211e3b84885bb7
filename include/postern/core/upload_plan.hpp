// An upload plan: what to store, where, under which limits and for which caller. Every protocol that takes a file makes
// one; flow/transfer carries the file's bytes by it. A plain value, owned by one transfer.
#pragma once

#include <postern/core/caller.hpp>
#include <postern/core/object.hpp>
#include <postern/core/s3/checksums.hpp>
#include <postern/core/s3/policy.hpp>
#include <postern/core/upload.hpp>

namespace postern {

struct upload_plan {
  upload row; // for the ledger: id, bucket, key, profile, user, the allowed sizes
  object_meta meta;
  checksums expected; // that the client sent with the file
  caller who;

  // A signed claim carries the row too. Without one, the row must be durable before the object exists: otherwise a
  // crash in between would leave an object that the ledger never checks.
  bool has_claim = false;
  // The client confirms the object by a redirect afterwards, so a completion that cannot be recorded now is no failure.
  bool is_confirmed_later = false;

  length_range length() const { return {row.min_size, row.max_size}; } // of the file, in bytes
};

} // namespace postern
