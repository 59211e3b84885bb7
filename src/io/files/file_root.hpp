// Private to io/files: the folders of a file store's root, and the objects and sidecars in them. Each store has one,
// and its sinks share it. Blocking; any thread.
#pragma once

#include <postern/io/file_identity.hpp>
#include <postern/io/files/file_layout.hpp>
#include <postern/io/files/files.hpp>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace postern {

struct file_root {
  descriptor root, meta, paused;
  descriptor own; // this process's folder in tmp, locked while it is open
  std::string own_name;
  std::vector<file_identity> paths; // of root and meta, which stay open
  std::atomic<bool> is_lost{false};
  ~file_root();
};

// Creates and opens the folders, and removes the temporary files of processes that have ended. Throws
// std::runtime_error that names store.path and the remedy.
std::shared_ptr<file_root> open_file_root(const std::filesystem::path& root);

// errc::unavailable while the path of the root names another folder than the open one: what is stored now would not be
// found after a restart. Logs when that begins and when it ends.
result<void> require_paths(file_root& r);

// A file, by its folder and its name there.
struct file_place {
  descriptor folder;
  std::string name;
};

// Where the object's file is. With `create`, its folders are created.
result<file_place> find_object(const file_root& r, const object_name& name, bool create);

std::string hash_of(const object_name& name);
result<file_place> find_sidecar(const file_root& r, const std::string& hash, bool create);
// errc::object_absent: there is no such file.
result<sidecar> read_sidecar_at(int folder, const std::string& name);

// An object and its sidecar are two files. Take LOCK_EX on the sidecar's folder to change both, LOCK_SH to read both.
// The lock excludes other processes and, because each find_sidecar opens the folder anew, other threads. It ends with
// the place's descriptor.
result<void> lock(const file_place& sidecar_place, int operation);

} // namespace postern
