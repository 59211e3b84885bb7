// Files by descriptor, for stores: opening below a folder without following links, writing whole, making durable.
// Blocking; run on a pool.
#pragma once

#include <postern/base/error.hpp>

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

// A file descriptor that is closed with it.
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

// errc::store_failed with what errno says.
failure disk_failure(std::string_view doing);

// The folder that `parts` name below `at`, one openat a part, links refused. `make`: missing ones are made and their
// parents fsynced. errc::object_absent when missing or not a folder (errno tells), errc::store_failed.
result<descriptor> open_folder(int at, std::span<const std::string> parts, bool make);

result<void> write_all(int fd, std::span<const char> bytes);
result<std::string> read_whole(int fd, std::size_t max);

// Puts `text` under `name` in the folder, whole or not at all, durable when it returns. It is written in the folder
// `scratch` of the same file system first.
result<void> replace_file(int scratch, int folder, const std::string& name, std::string_view text);

std::string random_name(); // 32 hex digits

} // namespace postern
