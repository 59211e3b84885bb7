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

failure disk_failure(std::string_view doing) {
  return failure{errc::store_failed, std::string(doing) + ": " + std::strerror(errno)};
}

result<descriptor> open_folder(int at, std::span<const std::string> parts, bool make) {
  descriptor here(::fcntl(at, F_DUPFD_CLOEXEC, 0));
  if (!here) return disk_failure("opening a folder");
  for (const auto& part : parts) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    descriptor next(::openat(here.get(), part.c_str(), flags));
    if (!next && errno == ENOENT && make) {
      if (::mkdirat(here.get(), part.c_str(), 0777) != 0 && errno != EEXIST) return disk_failure("making a folder");
      if (::fsync(here.get()) != 0) return disk_failure("making a folder durable");
      next = descriptor(::openat(here.get(), part.c_str(), flags));
    }
    if (!next && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
      return failure{errc::object_absent, std::strerror(errno)};
    if (!next) return disk_failure("opening a folder");
    here = std::move(next);
  }
  return here;
}

result<void> write_all(int fd, std::span<const char> bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return disk_failure("writing");
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
    if (n < 0) return disk_failure("reading");
    if (n == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(n));
    if (text.size() > max) return failure{errc::store_failed, "a file is larger than it may be"};
  }
}

result<void> replace_file(int scratch, int folder, const std::string& name, std::string_view text) {
  const auto beside = random_name();
  const descriptor file(::openat(scratch, beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file) return disk_failure("making a file");
  auto written = write_all(file.get(), text);
  if (written && ::fsync(file.get()) != 0) written = disk_failure("making a file durable");
  if (written && ::renameat(scratch, beside.c_str(), folder, name.c_str()) != 0)
    written = disk_failure("renaming a file");
  if (written && ::fsync(folder) != 0) written = disk_failure("making a folder durable");
  if (!written) ::unlinkat(scratch, beside.c_str(), 0);
  return written;
}

std::string random_name() {
  std::array<unsigned char, 16> bytes;
  random_bytes(bytes);
  return to_hex(bytes);
}

} // namespace postern
