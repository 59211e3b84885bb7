// A real PostgreSQL server for tests: a cluster in its own folder, on a port that it keeps. If the tests run as
// root, the user postgres runs it. The destructor ends it and deletes the folder.
#pragma once

#include "watchdog.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <grp.h>
#include <iterator>
#include <pwd.h>
#include <random>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace postern::test {

class postgres_server {
public:
  // The programs of the newest installed version; empty: none is installed.
  static std::filesystem::path programs() {
    std::vector<std::filesystem::path> found;
    std::error_code none;
    for (const auto& e : std::filesystem::directory_iterator("/usr/lib/postgresql", none))
      if (std::filesystem::exists(e.path() / "bin" / "initdb")) found.push_back(e.path() / "bin");
    return found.empty() ? std::filesystem::path() : *std::max_element(found.begin(), found.end());
  }

  postgres_server() {
    char name[] = "/tmp/postern-pg-XXXXXX";
    if (!::mkdtemp(name)) throw std::runtime_error("mkdtemp");
    folder_ = name;
    watch_folder(name);
    if (const auto* user = runs_as(); user && ::chown(name, user->pw_uid, user->pw_gid) != 0)
      throw std::runtime_error("chown");
    port_ = free_port();
    const auto made =
        run({"initdb", "-D", data(), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8"});
    if (int code = 0; ::waitpid(made, &code, 0) != made || code != 0) throw std::runtime_error("initdb: " + log_text());
    start();
  }
  ~postgres_server() {
    freeze(false);
    end(SIGINT);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  postgres_server(const postgres_server&) = delete;
  postgres_server& operator=(const postgres_server&) = delete;

  void start() {
    // Without fsync, a crash of the server loses nothing; only a crash of the machine would.
    pid_ = run({"postgres", "-D", data(), "-k", folder_.string(), "-h", "127.0.0.1", "-p", port_, "-c",
                "max_connections=60", "-c", "shared_buffers=64MB", "-c", "fsync=off"});
    watch(pid_, "QUIT");
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
      const auto asked = run({"pg_isready", "-q", "-h", "127.0.0.1", "-p", port_});
      if (int code = 0; ::waitpid(asked, &code, 0) == asked && code == 0) return;
      if (std::chrono::steady_clock::now() > until || ::waitpid(pid_, nullptr, WNOHANG) == pid_)
        throw std::runtime_error("PostgreSQL does not start: " + log_text());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  void stop() { end(SIGINT); }  // ends its sessions properly
  void kill() { end(SIGQUIT); } // like a crash

  // Suspends the server and all its sessions, or resumes them.
  void freeze(bool yes = true) {
    if (pid_ <= 0) return;
    std::vector<pid_t> all{pid_};
    for (const auto& e : std::filesystem::directory_iterator("/proc")) {
      std::ifstream stat(e.path() / "stat");
      std::string number, name, state;
      pid_t parent = 0;
      if (stat >> number >> name >> state >> parent && parent == pid_) all.push_back(std::stoi(number));
    }
    for (const auto p : all) ::kill(p, yes ? SIGSTOP : SIGCONT);
  }

  const std::string& port() const { return port_; }
  std::string url(const std::string& database = "postgres") const { return url_at(port_, database); }
  static std::string url_at(const std::string& port, const std::string& database) {
    return "postgresql://postgres@127.0.0.1:" + port + "/" + database;
  }

private:
  // Below the ports that the kernel gives to connections (/proc/sys/net/ipv4/ip_local_port_range): none of them takes
  // it while the server does not run.
  static std::string free_port() {
    std::uniform_int_distribution<unsigned short> ports(20000, 32000);
    std::random_device random;
    boost::asio::io_context io;
    for (;;) {
      const auto port = ports(random);
      boost::asio::ip::tcp::acceptor tried(io);
      boost::system::error_code in_use;
      tried.open(boost::asio::ip::tcp::v4());
      tried.set_option(boost::asio::socket_base::reuse_address(true));
      tried.bind({boost::asio::ip::address_v4::loopback(), port}, in_use);
      if (!in_use) return std::to_string(port);
    }
  }
  std::string data() const { return (folder_ / "data").string(); }

  static const passwd* runs_as() { return ::geteuid() == 0 ? ::getpwnam("postgres") : nullptr; }

  std::string log_text() const {
    std::ifstream log(folder_ / "log");
    return {std::istreambuf_iterator<char>(log), {}};
  }

  pid_t run(std::vector<std::string> command) const {
    const auto* user = runs_as();
    // initdb looks for the program postgres in the folder of its own argv[0].
    const auto program = command[0] = (programs() / command[0]).string();
    const auto log = (folder_ / "log").string();
    std::vector<char*> arguments;
    for (auto& a : command) arguments.push_back(a.data());
    arguments.push_back(nullptr);
    const auto pid = ::fork();
    if (pid != 0) return pid;
    if (user && (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0))
      ::_exit(1);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, 1), ::dup2(out, 2);
    for (int fd = 3; fd < 1024; ++fd) ::close(fd);
    if (::chdir("/") == 0) ::execv(program.c_str(), arguments.data());
    ::_exit(127);
  }

  void end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  std::filesystem::path folder_;
  std::string port_;
  pid_t pid_ = 0;
};

} // namespace postern::test
