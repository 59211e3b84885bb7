// A child process with which messages are exchanged over a socket, one packet each. It is killed and waited for when
// the object is destroyed, so that no zombie stays. Used by one thread at a time, which may block.
#pragma once

#include <postern/base/error.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace postern {

class child_process {
public:
  // Executes the command with the socket as descriptor 0, /dev/null as 1 and 2, no other descriptor, no environment,
  // and in a process group of its own, so that Ctrl-C is for the parent. errc::unavailable.
  static result<std::unique_ptr<child_process>> start(const std::vector<std::string>& command);

  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process();

  pid_t id() const { return id_; }

  // errc::disconnected: the child is gone.
  result<void> send(std::string_view packet);
  // The next packet, of at most `max` bytes; a longer one is cut. errc::disconnected; errc::timed_out.
  result<std::string> receive(std::size_t max, std::chrono::milliseconds within);

private:
  child_process(pid_t id, int socket) : id_(id), socket_(socket) {}

  const pid_t id_;
  const int socket_;
};

} // namespace postern
