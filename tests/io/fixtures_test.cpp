// The servers that the tests start: a test program that is killed leaves none of them running.
#include "support/postgres_server.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace postern::test;

namespace {

// How many processes have `word` as one of the words of their command line.
int processes_with(const std::string& word) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    const auto terminated = '\0' + line;
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
