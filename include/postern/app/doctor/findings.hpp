// What the doctor says: one finding a check, printed as it is found, for a terminal of 80 columns. Used on one thread.
#pragma once

#include <postern/base/log.hpp>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

enum class verdict { right, warning, wrong, untried };

// The remedy's lines are wrapped, but for those that begin with a blank: commands and documents, to be copied.
struct finding {
  finding(verdict v, std::string why, std::string what_to_do = {})
      : is(v), cause(std::move(why)), remedy(std::move(what_to_do)) {}
  static finding right(std::string why) { return {verdict::right, std::move(why)}; }
  static finding wrong(std::string why, std::string what_to_do) {
    return {verdict::wrong, std::move(why), std::move(what_to_do)};
  }
  static finding untried(std::string why) { return {verdict::untried, std::move(why)}; }

  verdict is;
  std::string cause;
  std::string remedy;
};

// ✓ clock           0 s from the store's
std::string to_text(std::string_view what, const finding& f);

class report {
public:
  explicit report(std::FILE* to) : to_(to) {}
  report(const report&) = delete;
  report& operator=(const report&) = delete;

  // Text that is never to be printed, wherever it may come from: a store's error can quote what it was sent.
  void hide(std::string_view text);
  void add(std::string_view what, const finding& f);
  // Says how it stands. Answers the program's exit code.
  int finish();

private:
  std::FILE* const to_;
  std::vector<std::string> hidden_;
  bool spaced_ = false; // the last one ended with an empty line
  unsigned right_ = 0, warnings_ = 0, wrong_ = 0, untried_ = 0;
};

} // namespace postern::app
