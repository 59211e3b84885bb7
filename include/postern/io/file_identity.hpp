// Whether a path still names the file or folder that this process has open. A deleted or renamed file can still be
// written through an open descriptor, and what is written is gone after a restart. Constant, so any thread may ask; a
// check is one stat.
#pragma once

#include <postern/base/error.hpp>

#include <string>
#include <sys/types.h>

namespace postern {

class file_identity {
public:
  // Remembers the file that `path` names now: its device and inode. While the process has it open, no other file gets
  // this inode. errc::not_found: there is no such file.
  static result<file_identity> of(std::string path);

  // errc::unavailable says what has happened: the path names no file, or another one.
  result<void> check() const;

private:
  file_identity(std::string path, dev_t device, ino_t inode) : path_(std::move(path)), device_(device), inode_(inode) {}

  std::string path_;
  dev_t device_;
  ino_t inode_;
};

} // namespace postern
