// A type finder that asks libmagic, in a child process (io/magic/magic_child). The child is started with the first
// question, answers one question at a time, and is replaced when it crashes or takes too long. The file's question is
// then asked once more: a child can die, or the machine stall, without any fault of the file. After a second failure
// the file's type is unknown. A child that cannot even start says nothing about the file: errc::unavailable.
//
// The finder has one thread, on which it waits for the child. Destroy it before the io_contexts of those who ask, and
// not before their questions are answered.
#pragma once

#include <postern/io/magic/magic_child.hpp>
#include <postern/io/type_finder.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace postern {

struct magic_options {
  std::vector<std::string> command{"/proc/self/exe", std::string(magic_child_argument)}; // of the child
  std::chrono::milliseconds to_start{10'000};                                            // until the child is ready
  std::chrono::milliseconds to_answer{1'000};                                            // one question
  std::chrono::milliseconds to_wait{5'000};   // behind other questions; then errc::unavailable
  std::size_t max_waiting = 256;              // questions; the next is answered with errc::unavailable
  std::size_t max_answers = 1'000;            // of one child; then a new one takes its place
  std::chrono::milliseconds first_pause{100}; // before a child is started after several have failed in a row; doubles
  std::chrono::milliseconds longest_pause{10'000};
};

class magic_type_finder : public type_finder {
public:
  // Starts the child now, and blocks the caller until it is ready. errc::unavailable, with the reason.
  virtual result<void> check() = 0;

  // The process id of the child; 0: there is none. For tests.
  virtual int child() const = 0;
};

std::unique_ptr<magic_type_finder> make_magic_type_finder(magic_options options);

} // namespace postern
