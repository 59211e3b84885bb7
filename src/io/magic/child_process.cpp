#include "child_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace postern {
namespace {

failure unavailable(const char* what, int error) {
  return failure{errc::unavailable, std::string(what) + ": " + std::strerror(error)};
}

// What the child gets: see the header. Wraps posix_spawn's two objects, which must be destroyed.
class spawn_settings {
public:
  explicit spawn_settings(int socket) {
    posix_spawn_file_actions_init(&files_);
    posix_spawnattr_init(&attributes_);
    const auto check = [this](int error) { error_ = error_ ? error_ : error; };
    check(posix_spawn_file_actions_adddup2(&files_, socket, 0));
    check(posix_spawn_file_actions_addopen(&files_, 1, "/dev/null", O_RDWR, 0));
    check(posix_spawn_file_actions_adddup2(&files_, 1, 2));
    check(posix_spawn_file_actions_addclosefrom_np(&files_, 3));
    // Signals that the parent ignores or blocks must end the child.
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    check(posix_spawnattr_setsigdefault(&attributes_, &all));
    check(posix_spawnattr_setsigmask(&attributes_, &none));
    check(posix_spawnattr_setpgroup(&attributes_, 0));
    check(
        posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP));
  }
  spawn_settings(const spawn_settings&) = delete;
  spawn_settings& operator=(const spawn_settings&) = delete;
  ~spawn_settings() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  int error() const { return error_; }

  // 0, or errno.
  int spawn(const std::vector<std::string>& command, pid_t& id) const {
    std::vector<std::string> words = command;
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::array<char*, 1> no_environment{nullptr};
    return posix_spawn(&id, arguments.front(), &files_, &attributes_, arguments.data(), no_environment.data());
  }

private:
  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
  int error_ = 0;
};

} // namespace

result<std::unique_ptr<child_process>> child_process::start(const std::vector<std::string>& command) {
  std::array<int, 2> pair{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return unavailable("socketpair", errno);
  pid_t id = 0;
  const spawn_settings settings(pair[1]);
  const int error = settings.error() ? settings.error() : settings.spawn(command, id);
  ::close(pair[1]);
  if (!error) return std::unique_ptr<child_process>(new child_process(id, pair[0]));
  ::close(pair[0]);
  return unavailable(command.front().c_str(), error);
}

// SIGKILL also ends a stopped process, so the wait is short.
child_process::~child_process() {
  ::close(socket_);
  ::kill(id_, SIGKILL);
  while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

result<void> child_process::send(std::string_view packet) {
  // The child reads each packet before it gets the next one, so the socket has room.
  const auto n = ::send(socket_, packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n == static_cast<ssize_t>(packet.size())) return {};
  return failure{errc::disconnected, std::string("send: ") + std::strerror(errno)};
}

result<std::string> child_process::receive(std::size_t max, std::chrono::milliseconds within) {
  using namespace std::chrono;
  const auto end = steady_clock::now() + within;
  for (;;) {
    const auto left = duration_cast<milliseconds>(end - steady_clock::now()).count() + 1;
    if (left <= 0) return failure{errc::timed_out, "the child process gave no answer"};
    pollfd ready{socket_, POLLIN, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(std::min<milliseconds::rep>(left, 60'000)));
    if (n < 0 && errno != EINTR) return unavailable("poll", errno);
    if (n > 0) break;
  }
  std::string packet(max, '\0');
  const auto n = ::recv(socket_, packet.data(), packet.size(), MSG_DONTWAIT);
  if (n <= 0) return failure{errc::disconnected, "the child process has ended"};
  packet.resize(static_cast<std::size_t>(n));
  return packet;
}

} // namespace postern
