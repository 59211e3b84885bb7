// What the program prints to standard error while this lives, debug lines included.
#pragma once

#include "temporary_folder.hpp"
#include <postern/base/log.hpp>

#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <unistd.h>

namespace postern::test {

class captured_log {
public:
  captured_log() {
    log::set_up(log::level::debug, log::format::logfmt);
    std::fflush(stderr);
    const int file = ::open(path().c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    if (file < 0 || before_ < 0 || ::dup2(file, STDERR_FILENO) < 0) throw std::runtime_error("cannot redirect");
    ::close(file);
  }
  captured_log(const captured_log&) = delete;
  captured_log& operator=(const captured_log&) = delete;
  ~captured_log() {
    std::fflush(stderr);
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    log::set_up(log::level::info, log::format::logfmt);
  }
  std::string text() const {
    std::fflush(stderr);
    std::ifstream in(path());
    return {std::istreambuf_iterator<char>(in), {}};
  }

private:
  std::string path() const { return folder_.path() / "log"; }
  const temporary_folder folder_;
  const int before_ = ::dup(STDERR_FILENO);
};

} // namespace postern::test
