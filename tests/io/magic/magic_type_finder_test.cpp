#include <postern/io/magic/magic_type_finder.hpp>

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <support/captured_log.hpp>
#include <support/run_task.hpp>
#include <support/wait_until.hpp>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace postern;
using namespace std::chrono_literals;
using namespace std::string_literals;
using test::run_task;

namespace {

// The finder executes this program anew, so this program is also the child.
const bool is_parent = [] {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string words(std::istreambuf_iterator<char>(file), {});
  if (!words.ends_with('\0' + std::string(magic_child_argument) + '\0')) return true;
  _exit(run_magic_child());
}();

constexpr auto octets = "application/octet-stream";

const std::string png = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0"s;

std::string type_of(type_finder& by, std::string bytes) { return run_task(by.find(std::move(bytes))).value(); }
errc failure_of(type_finder& by) { return run_task(by.find("hello world\n")).error().code; }

magic_options with_command(std::vector<std::string> command) {
  magic_options o;
  o.command = std::move(command);
  o.to_start = 500ms;
  o.to_answer = 200ms;
  return o;
}

std::string line_of_status(int process, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":")) return line.substr(line.find_last_of(" \t") + 1);
  return {};
}

// Zombies, and running children.
bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

} // namespace

BOOST_AUTO_TEST_CASE(types_of_real_files) {
  const auto finder = make_magic_type_finder({});
  BOOST_TEST(type_of(*finder, png) == "image/png");
  BOOST_TEST(type_of(*finder, png + "<html><script>alert(1)</script>") == "image/png"); // a polyglot
  BOOST_TEST(type_of(*finder, "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>") == "image/svg+xml");
  BOOST_TEST(type_of(*finder, "GIF89a/*\0\0\0*/=1;alert(1)"s) == "image/gif");
  BOOST_TEST(type_of(*finder, "<!DOCTYPE html><html><body>x") == "text/html");
  BOOST_TEST(type_of(*finder, "%PDF-1.4\n1 0 obj") == "application/pdf");
  BOOST_TEST(type_of(*finder, "hello world\n") == "text/plain");
  BOOST_TEST(type_of(*finder, "a,b,c\n1,2,3\n4,5,6\n") == "text/csv");
  BOOST_TEST(type_of(*finder, "a") == "text/plain");
  BOOST_TEST(type_of(*finder, "") == "inode/x-empty");
  BOOST_TEST(type_of(*finder, "PK\3\4\x14\0\0\0\0\0"s) == "application/zip");
  BOOST_TEST(type_of(*finder, "\x1f\x8b\x08\0\0\0\0\0\0\3"s) == "application/gzip");
  BOOST_TEST(type_of(*finder, "\x7f"
                              "ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0\x3e\0\1\0\0\0"s)
                 .starts_with("application/x-"));
  BOOST_TEST(type_of(*finder, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"s + std::string(504, '\0')) ==
             "application/x-ole-storage");
  BOOST_TEST(type_of(*finder, std::string(4096, '\0')) == octets);
  std::string euros;
  while (euros.size() < 5000) euros += "\xe2\x82\xac"; // the cut after 4096 bytes is inside a character
  BOOST_TEST(type_of(*finder, euros) == "text/plain");
}

BOOST_AUTO_TEST_CASE(only_the_first_4096_bytes_count) {
  const auto finder = make_magic_type_finder({});
  BOOST_TEST(type_of(*finder, std::string(4096, 'a') + std::string(4096, '\0')) == "text/plain");
  BOOST_TEST(type_of(*finder, std::string(4095, 'a') + std::string(4096, '\0')) == octets);
}

BOOST_AUTO_TEST_CASE(random_and_mutated_files_end_no_child) {
  const auto finder = make_magic_type_finder({});
  BOOST_TEST_REQUIRE(finder->check().has_value());
  const int child = finder->child();
  std::vector<std::string> seeds{png,
                                 "GIF89a\1\0\1\0"s,
                                 "\xff\xd8\xff\xe0\0\x10JFIF"s,
                                 "RIFF\x24\0\0\0WEBPVP8 "s,
                                 "PK\3\4\x14\0\0\0"s,
                                 "%PDF-1.4\n",
                                 "\0\0\0\x18"
                                 "ftypmp42"s,
                                 "\x7f"
                                 "ELF\2\1\1"s,
                                 "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"s,
                                 "<?xml version=\"1.0\"?>",
                                 "{\"a\":[1,2,{\"b\":null}]}",
                                 "a,b,c\n1,2,3\n",
                                 std::string(257, '\0') + "ustar\0"s,
                                 "\x1a\x45\xdf\xa3"s,
                                 "OggS\0\2"s,
                                 "ID3\3\0\0\0\0\0\x0a"s,
                                 "MZ\x90\0"s,
                                 "II*\0\x08\0\0\0"s};
  std::minstd_rand random(20261130);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random()) % n; };
  for (int n = 0; n < 10'000; ++n) {
    auto bytes = seeds[below(seeds.size())];
    const auto size = below(5) == 0 ? below(4097) : below(300);
    while (bytes.size() < size) bytes += static_cast<char>(below(3) == 0 ? 0 : below(256));
    for (auto changes = below(8); changes > 0; --changes) bytes[below(bytes.size())] = static_cast<char>(below(256));
    const auto type = type_of(*finder, bytes);
    BOOST_TEST_REQUIRE(!type.empty(), "input " << n);
    if (n < 900) BOOST_TEST_REQUIRE(finder->child() == child, "input " << n); // later a new child takes its place
  }
}

BOOST_AUTO_TEST_CASE(the_child_has_nothing_that_it_does_not_need) {
  ::setenv("POSTERN_TEST_SECRET", "topsecret", 1);
  const auto finder = make_magic_type_finder({});
  BOOST_TEST_REQUIRE(finder->check().has_value());
  BOOST_TEST(line_of_status(finder->child(), "Seccomp") == "2");
  BOOST_TEST(line_of_status(finder->child(), "NoNewPrivs") == "1");
  BOOST_TEST(line_of_status(finder->child(), "Threads") == "1");
  std::ifstream limits("/proc/" + std::to_string(finder->child()) + "/limits");
  const std::string text(std::istreambuf_iterator<char>(limits), {});
  for (const char* line : {"Max cpu time              30                   30", "Max open files            0 ",
                           "Max file size             0 ", "Max core file size        0 "})
    BOOST_TEST(text.find(line) != text.npos, text);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
  BOOST_TEST(text.find("Max address space         268435456            268435456") != text.npos, text);
#endif
  std::ifstream environment("/proc/" + std::to_string(finder->child()) + "/environ", std::ios::binary);
  const std::string variables(std::istreambuf_iterator<char>(environment), {});
  BOOST_TEST(variables.find("topsecret") == variables.npos);
}

BOOST_AUTO_TEST_CASE(a_killed_child_is_replaced) {
  test::captured_log log;
  const auto finder = make_magic_type_finder({});
  BOOST_TEST(type_of(*finder, png) == "image/png");
  const int first = finder->child();
  BOOST_TEST_REQUIRE(::kill(first, SIGKILL) == 0);
  BOOST_TEST(type_of(*finder, png) == "image/png"); // asked once more
  BOOST_TEST(finder->child() != first);
  BOOST_TEST(line_of_status(first, "State").empty()); // no zombie
}

BOOST_AUTO_TEST_CASE(a_child_that_hangs_is_killed_and_replaced) {
  test::captured_log log;
  magic_options o;
  o.to_answer = 300ms;
  const auto finder = make_magic_type_finder(o);
  BOOST_TEST(type_of(*finder, png) == "image/png");
  const int first = finder->child();
  BOOST_TEST_REQUIRE(::kill(first, SIGSTOP) == 0);
  const auto begin = std::chrono::steady_clock::now();
  BOOST_TEST(type_of(*finder, png) == "image/png");
  BOOST_TEST((std::chrono::steady_clock::now() - begin >= 300ms));
  BOOST_TEST(finder->child() != first);
  BOOST_TEST(line_of_status(first, "State").empty());
}

BOOST_AUTO_TEST_CASE(a_file_that_ends_each_child_is_unknown) {
  test::captured_log log;
  // A child that is ready, and ends with the first question.
  const auto ends = make_magic_type_finder(with_command(
      {"/usr/bin/python3", "-c", "import socket; s = socket.socket(fileno=0); s.send(b'ready'); s.recv(5000)"}));
  BOOST_TEST(type_of(*ends, "hello world\n").empty());
  BOOST_TEST(type_of(*ends, "hello world\n").empty());
  // Then there is a pause.
  BOOST_TEST((failure_of(*ends) == errc::unavailable));
  BOOST_TEST(ends->child() == 0);
}

BOOST_AUTO_TEST_CASE(a_file_that_keeps_each_child_busy_is_unknown) {
  test::captured_log log;
  const auto hangs = make_magic_type_finder(with_command(
      {"/usr/bin/python3", "-c",
       "import socket, time; s = socket.socket(fileno=0); s.send(b'ready'); s.recv(5000); time.sleep(60)"}));
  BOOST_TEST(type_of(*hangs, "hello world\n").empty());
}

BOOST_AUTO_TEST_CASE(an_answer_that_is_no_type_is_unknown) {
  test::captured_log log;
  const auto lies = make_magic_type_finder(with_command(
      {"/usr/bin/python3", "-c",
       "import socket; s = socket.socket(fileno=0); s.send(b'ready'); s.recv(5000); s.send(b'image/png, text/html')"}));
  BOOST_TEST(type_of(*lies, "hello world\n").empty());
}

BOOST_AUTO_TEST_CASE(without_a_child_nothing_is_said_of_the_file) {
  test::captured_log log;
  const auto none = make_magic_type_finder(with_command({"/no/such/program"}));
  BOOST_TEST((failure_of(*none) == errc::unavailable));
  const auto ends = make_magic_type_finder(with_command({"/bin/false"}));
  BOOST_TEST((failure_of(*ends) == errc::unavailable));
  BOOST_TEST(ends->check().has_error());
  const auto silent = make_magic_type_finder(with_command({"/bin/sleep", "60"}));
  BOOST_TEST((failure_of(*silent) == errc::unavailable));
}

BOOST_AUTO_TEST_CASE(questions_beyond_the_limit_are_not_queued) {
  test::captured_log log;
  magic_options o;
  o.to_answer = 2s;
  o.max_waiting = 1;
  const auto finder = make_magic_type_finder(o);
  BOOST_TEST_REQUIRE(finder->check().has_value());
  ::kill(finder->child(), SIGSTOP);
  std::string found; // Boost.Test is not for other threads
  std::thread first([&] { found = type_of(*finder, png); });
  std::this_thread::sleep_for(300ms);
  BOOST_TEST((failure_of(*finder) == errc::unavailable));
  first.join();
  BOOST_TEST(found == "image/png");
  BOOST_TEST(type_of(*finder, png) == "image/png");
}

BOOST_AUTO_TEST_CASE(a_question_that_has_waited_long_is_not_asked) {
  test::captured_log log;
  magic_options o;
  o.to_answer = 800ms;
  o.to_wait = 100ms;
  const auto finder = make_magic_type_finder(o);
  BOOST_TEST_REQUIRE(finder->check().has_value());
  ::kill(finder->child(), SIGSTOP);
  std::string found; // Boost.Test is not for other threads
  std::thread first([&] { found = type_of(*finder, png); });
  std::this_thread::sleep_for(300ms);
  BOOST_TEST((failure_of(*finder) == errc::unavailable));
  first.join();
  BOOST_TEST(found == "image/png");
}

BOOST_AUTO_TEST_CASE(a_child_is_replaced_after_its_last_answer) {
  magic_options o;
  o.max_answers = 3;
  const auto finder = make_magic_type_finder(o);
  std::vector<int> children;
  for (int n = 0; n < 4; ++n) {
    BOOST_TEST(type_of(*finder, png) == "image/png");
    children.push_back(finder->child());
  }
  BOOST_TEST(children[0] != 0);
  BOOST_TEST(children[1] == children[0]);
  BOOST_TEST(children[2] == 0); // it was the last answer
  BOOST_TEST(children[3] != 0);
}

BOOST_AUTO_TEST_CASE(no_child_stays) { BOOST_TEST(!has_children()); }
