// Objects as files, for trying things out and for small sites. A file is written beside, fsynced and renamed, so that
// it is whole or absent under its name.
//
//   <root>/<bucket>/<key>                  the objects
//   <root>/.postern/meta/ab/<sha256>.json  the sidecar of one object, named by the hash of bucket and key
//   <root>/.postern/tmp/<random>/          what one process is writing, held by a lock; removed at the next start when
//   its
//                                          process is dead
//   <root>/.postern/paused/                what was paused, each with its state in a sidecar
//
// A bucket's name cannot begin with a dot, so nothing of this can collide. The sidecar is written first and believed
// only while size and modification time are those it names: a file that other hands put there is an object too, without
// metadata. Processes may share a root.
#pragma once

#include <postern/io/store.hpp>

#include <filesystem>

namespace postern {

struct file_store_options {
  std::filesystem::path root; // made when missing
};

// Blocking calls run on `pool`, which must outlive the store. Throws std::runtime_error naming the path and the remedy
// when the root cannot be used. Keys that are not UTF-8 or have empty parts, "." or "..", a NUL, or a beginning that is
// another object are errc::invalid_argument; over 1024 bytes in all or 255 in a part, errc::key_too_long. Symbolic
// links are not followed.
std::unique_ptr<store> make_file_store(file_store_options options, asio::thread_pool& pool);

} // namespace postern
