// Files by descriptor, for the file store: open folders without following links, write whole files, make them durable.
// These calls block, so run them on a thread pool.
#pragma once

#include <postern/base/error.hpp>

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

// Owns a file descriptor and closes it. -1: there is none.
class descriptor {
public:
  explicit descriptor(int fd = -1) : fd_(fd) {}
  descriptor(descriptor&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  descriptor& operator=(descriptor&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~descriptor();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_;
};

// errc::store_failed: "cannot <action>: <errno in words>". The text is for the log.
failure disk_failure(std::string_view action);

// The folder at the path `parts` below the folder `start`. Links are not followed. With `create`, missing folders are
// created and made durable. errc::object_absent: a part is missing or is no folder. errc::store_failed.
result<descriptor> open_folder(int start, std::span<const std::string> parts, bool create);

result<void> write_all(int fd, std::span<const char> bytes);
// errc::store_failed also when the file has more than `max` bytes.
result<std::string> read_whole(int fd, std::size_t max);

// Writes `text` as the file `name` in `folder`: whole or not at all, and durable on return. `scratch` is a folder of
// the same file system, for the temporary file.
result<void> replace_file(int scratch, int folder, const std::string& name, std::string_view text);

std::string random_name(); // 32 hex digits

} // namespace postern
