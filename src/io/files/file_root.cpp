#include "file_root.hpp"

#include <postern/base/digest.hpp>
#include <postern/base/log.hpp>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace postern {

namespace fs = std::filesystem;

file_root::~file_root() {
  if (!own_name.empty()) ::unlinkat(root.get(), (".postern/tmp/" + own_name).c_str(), AT_REMOVEDIR);
}

result<void> require_paths(file_root& r) {
  for (const auto& path : r.paths)
    if (auto same = path.check(); !same) {
      if (!r.is_lost.exchange(true))
        log::error("store folder lost: uploads are refused",
                   {{"why", same.error().on},
                    {"remedy", "move the folder back, or restart Postern to use the one that is there now"}});
      return same;
    }
  if (r.is_lost.exchange(false)) log::info("store folder is back");
  return {};
}

result<file_place> find_object(const file_root& r, const object_name& name, bool create) {
  auto parts = object_path(name);
  if (!parts) return parts.error();
  auto file_name = std::move(parts->back());
  parts->pop_back();
  auto folder = open_folder(r.root.get(), *parts, create);
  if (!folder) return folder.error();
  return file_place{std::move(*folder), std::move(file_name)};
}

std::string hash_of(const object_name& name) { return sha256_hex(name.bucket + "/" + name.key); }

result<file_place> find_sidecar(const file_root& r, const std::string& hash, bool create) {
  const std::vector<std::string> parts{hash.substr(0, 2)};
  auto folder = open_folder(r.meta.get(), parts, create);
  if (!folder) return folder.error();
  return file_place{std::move(*folder), hash + ".json"};
}

result<sidecar> read_sidecar_at(int folder, const std::string& name) {
  const descriptor file(::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file && errno == ENOENT) return failure{errc::object_absent, "the sidecar " + name};
  if (!file) return disk_failure("open the sidecar " + name);
  auto text = read_whole(file.get(), max_sidecar_bytes);
  if (!text) return text.error();
  return read_sidecar(*text);
}

result<void> lock(const file_place& sidecar_place, int operation) {
  while (::flock(sidecar_place.folder.get(), operation) != 0)
    if (errno != EINTR) return disk_failure("lock the folder of " + sidecar_place.name + " in .postern/meta");
  return {};
}

// --- starting ---------------------------------------------------------------------------------------

namespace {

[[noreturn]] void refuse(const fs::path& root, const std::string& why) {
  throw std::runtime_error("store.path: \"" + root.string() + "\" cannot be used: " + why +
                           ". Name a folder that this user may write to.");
}

// A process that ended between writing a sidecar and naming its object leaves a sidecar without an object. The name of
// its temporary file begins with the object's hash.
void remove_orphan(const file_root& r, const std::string& temporary_name) {
  if (temporary_name.size() < 64) return;
  const auto beside = find_sidecar(r, temporary_name.substr(0, 64), false);
  if (!beside || !lock(*beside, LOCK_EX)) return;
  const auto found = read_sidecar_at(beside->folder.get(), beside->name);
  if (!found) return;
  const auto at = find_object(r, found->name, false);
  struct stat file;
  const bool has_object = at && ::fstatat(at->folder.get(), at->name.c_str(), &file, AT_SYMLINK_NOFOLLOW) == 0;
  if (!has_object) ::unlinkat(beside->folder.get(), beside->name.c_str(), 0);
}

// The folder of a process that has ended is one whose lock can be taken.
void remove_leftovers(const file_root& r, const fs::path& tmp) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(tmp, ignored)) {
    const descriptor folder(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder || ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) continue;
    for (const auto& file : fs::directory_iterator(entry.path(), ignored))
      remove_orphan(r, file.path().filename().string());
    fs::remove_all(entry.path(), ignored);
  }
}

// Creates this process's folder in tmp and locks it. Another process that starts can remove the folder before it is
// locked; then the next name is tried.
void create_own_folder(file_root& r, int tmp, const fs::path& root) {
  for (int tries = 0; tries < 100; ++tries) {
    const std::vector<std::string> name{random_name()};
    auto created = open_folder(tmp, name, true);
    if (!created && created.error().code != errc::object_absent) refuse(root, created.error().on);
    struct stat s;
    if (!created || ::flock(created->get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(created->get(), &s) != 0 ||
        s.st_nlink == 0)
      continue;
    r.own = std::move(*created);
    r.own_name = name.front();
    return;
  }
  refuse(root, "no folder in its .postern/tmp can be locked");
}

} // namespace

std::shared_ptr<file_root> open_file_root(const fs::path& root) {
  std::error_code ec;
  fs::create_directories(root, ec);
  if (ec) refuse(root, ec.message());
  auto r = std::make_shared<file_root>();
  r->root = descriptor(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!r->root) refuse(root, std::strerror(errno));
  const auto create = [&](const std::string& name) {
    const std::vector<std::string> parts{".postern", name};
    auto created = open_folder(r->root.get(), parts, true);
    if (!created) refuse(root, created.error().on);
    return std::move(*created);
  };
  r->meta = create("meta");
  r->paused = create("paused");
  const auto tmp = create("tmp");
  const auto hidden = root / ".postern";
  remove_leftovers(*r, hidden / "tmp");
  create_own_folder(*r, tmp.get(), root);
  for (const auto& path : {root, hidden / "meta", hidden / "paused", hidden / "tmp" / r->own_name}) {
    auto named = file_identity::of(path.string());
    if (!named) refuse(root, named.error().on);
    r->paths.push_back(std::move(*named));
  }
  return r;
}

} // namespace postern
