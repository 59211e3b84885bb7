// A real S3 server as a child process, for the whole run of one test program: Ceph RGW (support/rgw.py) or Swift
// (support/swift.py), which has no STS and no roles. Where it is not installed, the whole program is skipped. It ends
// with the program, also when the program is killed.
//
//   BOOST_TEST_GLOBAL_FIXTURE(real_s3);
//   BOOST_TEST_GLOBAL_FIXTURE(real_swift);
#pragma once

#include "skip.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <cstdlib>
#include <signal.h>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace postern::test {

class real_s3 {
public:
  // Set by the constructor.
  inline static std::string endpoint, bucket, access_key, secret_key, role;

  explicit real_s3(const std::string& module = "rgw", const std::string& shown = "Ceph RGW") : module_(module) {
    const std::string folder = POSTERN_SOURCE_DIR "/tests/support";
    const auto is_missing = "import sys, " + module + "; sys.exit(not " + module + ".is_installed())";
    if (std::system(("cd '" + folder + "' && python3 -c '" + is_missing + "'").c_str())) {
      skip_all((shown + " is not installed; tests/run installs it").c_str());
    }
    int out[2];
    if (::pipe(out) != 0) throw std::runtime_error("pipe");
    const auto parent = ::getpid();
    child_ = ::fork();
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGTERM); // when this program is killed
      if (::getppid() != parent) ::_exit(1);
      ::dup2(out[1], STDOUT_FILENO);
      ::close(out[0]);
      ::execlp("python3", "python3", (folder + "/" + module + ".py").c_str(), nullptr);
      ::_exit(1);
    }
    ::close(out[1]);
    std::string line;
    for (char c; ::read(out[0], &c, 1) == 1 && c != '\n';) line += c;
    ::close(out[0]);
    endpoint = value(line, "endpoint "), bucket = value(line, "bucket ");
    access_key = value(line, "access key "), secret_key = value(line, "secret key "), role = value(line, "role ");
    if (secret_key.empty()) {
      stop();
      throw std::runtime_error("support/" + module + ".py did not start; its first line is: " + line);
    }
  }
  real_s3(const real_s3&) = delete;
  real_s3& operator=(const real_s3&) = delete;
  ~real_s3() {
    const int status = stop();
    if (status == 0) return;
    std::fprintf(stderr, "support/%s.py ended with status %d: the server did not last until the end of the test\n",
                 module_.c_str(), status);
    std::_Exit(1);
  }

private:
  int stop() {
    int status = 0;
    ::kill(child_, SIGTERM);
    ::waitpid(child_, &status, 0);
    return status;
  }
  static std::string value(const std::string& line, const std::string& name) {
    const auto at = line.find(name);
    if (at == line.npos) return {};
    const auto begin = at + name.size();
    return line.substr(begin, line.find("  ", begin) - begin);
  }
  const std::string module_;
  pid_t child_ = 0;
};

struct real_swift : real_s3 {
  real_swift() : real_s3("swift", "Swift") {}
};

} // namespace postern::test
