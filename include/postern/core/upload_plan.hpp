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
  // Where the form was signed before the file's name was known: its key, which ends in ${filename}. Such a form fits
  // every name, but is one upload: the ledger must reserve row.key for it.
  std::string signed_key;
  checksums expected; // that the client sent with the file
  caller who;

  // The client confirms the object by a redirect afterwards, so a completion that cannot be recorded now is no failure.
  bool is_confirmed_later = false;

  length_range length() const { return {row.min_size, row.max_size}; } // of the file, in bytes
};

} // namespace postern
