// The servers that the tests start: a test program that is killed leaves none of them running.
#include "support/postgres_server.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace postern::test;

namespace {

// The command line of a process; empty when the process has ended.
std::string command_line(const std::filesystem::path& process) {
  std::string line;
  const int fd = ::open((process / "cmdline").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return line;
  char buffer[4096];
  for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) line.append(buffer, static_cast<std::size_t>(n));
  ::close(fd);
  return line;
}

// How many processes have `word` as one of the words of their command line.
int processes_with(const std::string& word) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto terminated = '\0' + command_line(entry.path());
    if (terminated.find('\0' + word + '\0') != terminated.npos) ++found;
  }
  return found;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_killed_program_leaves_no_postgresql) {
  if (postgres_server::programs().empty()) {
    std::puts("PostgreSQL is not installed");
    std::exit(77);
  }
  int out[2];
  BOOST_REQUIRE(::pipe(out) == 0);
  const auto program = ::fork();
  BOOST_REQUIRE(program >= 0);
  if (program == 0) {
    postgres_server server;
    server.freeze();
    const auto port = server.port() + "\n";
    if (::write(out[1], port.data(), port.size()) < 0) ::_exit(1);
    for (;;) ::pause();
  }
  ::close(out[1]);
  std::string port;
  for (char c; ::read(out[0], &c, 1) == 1 && c != '\n';) port += c;
  ::close(out[0]);
  BOOST_REQUIRE(!port.empty());
  BOOST_TEST(processes_with(port) == 1);
  ::kill(program, SIGKILL);
  ::waitpid(program, nullptr, 0);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (processes_with(port) > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  BOOST_TEST(processes_with(port) == 0);
}
