#include <postern/io/file_identity.hpp>

#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <utility>

namespace postern {

result<file_identity> file_identity::of(std::string path) {
  struct stat s;
  if (::stat(path.c_str(), &s) != 0) return failure{errc::not_found, quote(path, 200) + ": " + std::strerror(errno)};
  return file_identity(std::move(path), s.st_dev, s.st_ino);
}

result<void> file_identity::check() const {
  struct stat s;
  if (::stat(path_.c_str(), &s) != 0)
    return failure{errc::unavailable, quote(path_, 200) + " was deleted or moved while Postern had it open (" +
                                          std::strerror(errno) + ")"};
  if (s.st_dev != device_ || s.st_ino != inode_ || s.st_nlink == 0)
    return failure{errc::unavailable, quote(path_, 200) + " is not the one that Postern has open: it was replaced"};
  return {};
}

} // namespace postern
