#include <postern/base/encoding.hpp>
#include <postern/base/random.hpp>
#include <postern/io/files/files.hpp>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace postern {

descriptor::~descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

failure disk_failure(std::string_view action) {
  const int error = errno;
  return failure{errc::store_failed, "cannot " + std::string(action) + ": " + std::strerror(error)};
}

result<descriptor> open_folder(int start, std::span<const std::string> parts, bool create) {
  descriptor here(::fcntl(start, F_DUPFD_CLOEXEC, 0));
  if (!here) return disk_failure("open a folder");
  for (const auto& part : parts) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    descriptor next(::openat(here.get(), part.c_str(), flags));
    if (!next && errno == ENOENT && create) {
      if (::mkdirat(here.get(), part.c_str(), 0777) != 0 && errno != EEXIST)
        return disk_failure("create the folder " + quote(part));
      if (::fsync(here.get()) != 0) return disk_failure("make the folder " + quote(part) + " durable");
      next = descriptor(::openat(here.get(), part.c_str(), flags));
    }
    if (!next && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
      return failure{errc::object_absent, "the folder " + quote(part) + ": " + std::strerror(errno)};
    if (!next) return disk_failure("open the folder " + quote(part));
    here = std::move(next);
  }
  return here;
}

result<void> write_all(int fd, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_failure("write to a file");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

result<std::string> read_whole(int fd, std::size_t max) {
  std::string text;
  std::array<char, 8192> piece;
  for (;;) {
    const auto n = ::read(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_failure("read a file");
    if (n == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(n));
    if (text.size() > max) return failure{errc::store_failed, "a file has more than " + std::to_string(max) + " bytes"};
  }
}

result<void> replace_file(int scratch, int folder, const std::string& name, std::string_view text) {
  const auto temporary_name = random_name();
  const descriptor file(
      ::openat(scratch, temporary_name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file) return disk_failure("create a temporary file for " + name);
  auto written = write_all(file.get(), text);
  if (written && ::fsync(file.get()) != 0) written = disk_failure("make " + name + " durable");
  if (written && ::renameat(scratch, temporary_name.c_str(), folder, name.c_str()) != 0)
    written = disk_failure("rename a temporary file to " + name);
  if (written && ::fsync(folder) != 0) written = disk_failure("make the folder of " + name + " durable");
  if (!written) ::unlinkat(scratch, temporary_name.c_str(), 0);
  return written;
}

std::string random_name() {
  std::array<unsigned char, 16> bytes;
  random_bytes(bytes);
  return to_hex(bytes);
}

} // namespace postern
