// The store that keeps objects as files, for trying Postern out and for small sites. `storage` owns it; every thread
// uses it; its blocking calls run on a thread pool. It offers resumable_store, not presigner. An upload is written to a
// temporary file, fsynced and renamed, so an object is whole or absent. Processes may share a root.
//
//   <root>/<bucket>/<key>                  the objects
//   <root>/.postern/meta/ab/<sha256>.json  the sidecar of one object, named by the hash of bucket and key
//   <root>/.postern/tmp/<random>/          temporary files of one process, which holds a lock on the folder. The next
//                                          process that starts removes the folder of a process that has ended
//   <root>/.postern/paused/                paused uploads, each a file and its sidecar
//
// A bucket's name cannot begin with a dot, so objects and these folders do not collide. The sidecar is written before
// the object. It counts only while size and modification time of the file are those that it names. A file that another
// program wrote is an object without metadata.
#pragma once

#include <postern/io/store.hpp>

#include <filesystem>
#include <memory>

namespace postern {

struct file_store_options {
  std::filesystem::path root; // created when missing
};

// `pool` must outlive the store. Throws std::runtime_error, naming the path and the remedy, when the root cannot be
// used. The store rejects with errc::invalid_argument keys that are not UTF-8, that have an empty part, ".", ".." or a
// NUL, and a key that would need an existing object as a folder, or an existing folder as an object.
// errc::key_too_long: over 1024 bytes, or a part over 255. Symbolic links are not followed.
std::unique_ptr<store> make_file_store(const file_store_options& options, asio::thread_pool& pool);

} // namespace postern
