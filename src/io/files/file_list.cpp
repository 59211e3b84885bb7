#include "file_list.hpp"

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>

namespace postern {
namespace {

struct key_search {
  std::size_t max;
  std::vector<std::string> found{};
};

// The names in a folder, without "." and "..". Read at once, so that no folder stays open while its folders are read.
result<std::vector<std::string>> names_in(int folder) {
  const int own = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> open(own >= 0 ? ::fdopendir(own) : nullptr, ::closedir);
  if (!open) return disk_failure("list a folder");
  std::vector<std::string> names;
  errno = 0;
  while (const auto* entry = ::readdir(open.get())) { // NOLINT(concurrency-mt-unsafe): this thread's own DIR
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return disk_failure("list a folder");
  return names;
}

// Adds the keys of the files in `folder`, whose own key is `path`, that begin with `prefix`.
result<void> add_keys(key_search& s, int folder, const std::string& path, std::string_view prefix) {
  const auto names = names_in(folder);
  if (!names) return names.error();
  for (const auto& name : *names) {
    if (s.found.size() >= s.max) return {};
    if (!name.starts_with(prefix)) continue;
    struct stat entry;
    if (::fstatat(folder, name.c_str(), &entry, AT_SYMLINK_NOFOLLOW) != 0) continue; // removed meanwhile
    if (S_ISREG(entry.st_mode)) s.found.push_back(path + name);
    if (!S_ISDIR(entry.st_mode)) continue;
    const std::vector<std::string> parts{name};
    const auto below = open_folder(folder, parts, false);
    if (!below) continue;
    if (auto added = add_keys(s, below->get(), path + name + "/", ""); !added) return added;
  }
  return {};
}

} // namespace

result<std::vector<std::string>> list_keys(const file_root& r, const std::string& bucket, const std::string& prefix,
                                           std::size_t max) {
  const auto path = prefix.substr(0, prefix.rfind('/') + 1);
  // With a name behind it, the path is a key, whose parts are the folders.
  auto folders = object_path({bucket, path + "x"});
  if (!folders) return std::vector<std::string>{};
  folders->pop_back();
  const auto folder = open_folder(r.root.get(), *folders, false);
  // A disk that fails now, or a process with too many open files, is no refusal for good (io/store).
  const auto for_now = [](const failure& why) { return failure{errc::unavailable, why.on}; };
  if (!folder && folder.error().code != errc::object_absent) return for_now(folder.error());
  key_search s{max};
  if (!folder) return std::move(s.found);
  if (auto added = add_keys(s, folder->get(), path, std::string_view(prefix).substr(path.size())); !added)
    return for_now(added.error());
  return std::move(s.found);
}

} // namespace postern
