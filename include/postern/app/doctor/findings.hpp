// The doctor's findings: one for each check, printed at once, for a terminal of 80 columns. Used on one thread.
#pragma once

#include <postern/base/log.hpp>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace postern::app {

enum class verdict { passed, warning, failed, skipped };

// The result of one check: what was found, and what to do about it. Lines of the remedy that begin with a blank are
// commands and documents to be copied, so they are not wrapped.
struct finding {
  finding(verdict v, std::string why, std::string what_to_do = {})
      : kind(v), cause(std::move(why)), remedy(std::move(what_to_do)) {}
  static finding passed(std::string why) { return {verdict::passed, std::move(why)}; }
  static finding warning(std::string why, std::string what_to_do = {}) {
    return {verdict::warning, std::move(why), std::move(what_to_do)};
  }
  static finding failed(std::string why, std::string what_to_do) {
    return {verdict::failed, std::move(why), std::move(what_to_do)};
  }
  static finding skipped(std::string why) { return {verdict::skipped, std::move(why)}; }

  verdict kind;
  std::string cause;
  std::string remedy;
};

// "✓ clock           differs by 0 s from the store's". `check` is the name of the check.
std::string to_text(std::string_view check, const finding& f);

// Prints findings and counts them.
class report {
public:
  explicit report(std::FILE* to) : to_(to) {}
  report(const report&) = delete;
  report& operator=(const report&) = delete;

  // Prints stars in place of this text from now on, in whatever finding it occurs: a store's error can quote a secret.
  // Texts of less than 8 bytes are ignored, because they would occur by chance.
  void hide(std::string_view text);
  void add(std::string_view check, const finding& f);
  // The next findings are about this.
  void begin_section(std::string_view title);
  // Prints the summary. Returns the program's exit code.
  int finish();

private:
  std::FILE* const to_;
  std::vector<std::string> hidden_;
  bool ends_with_empty_line_ = false;
  unsigned passed_ = 0, warnings_ = 0, failed_ = 0, skipped_ = 0;
};

} // namespace postern::app
