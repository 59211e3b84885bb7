// The log: one structured line for each event, on standard error, as logfmt or JSON. Any thread may log; a line is
// written whole. Built on spdlog, which this header hides.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace postern {

// Text that must not be printed. Only reveal() converts it to a string; a log line shows stars.
class secret {
public:
  secret() = default;
  explicit secret(std::string text) : text_(std::move(text)) {}
  const std::string& reveal() const { return text_; }
  bool empty() const { return text_.empty(); }
  bool operator==(const secret&) const = default; // takes longer for secrets that begin alike: not for guesses

private:
  std::string text_;
};

namespace log {

enum class level { debug, info, warning, error };
enum class format { logfmt, json };

// Called once at start. Until then the level is info and the format logfmt.
void set_up(level least, format how);
bool enabled(level l);

// One value of an event. Numbers stay numbers in JSON.
struct field {
  field(std::string_view n, std::string_view v) : name(n), text(v) {}
  field(std::string_view n, const char* v) : name(n), text(v) {}
  field(std::string_view n, const std::string& v) : name(n), text(v) {}
  field(std::string_view n, bool v) : name(n), text(v ? "true" : "false"), bare(true) {}
  template <std::integral I> field(std::string_view n, I v) : name(n), text(std::to_string(v)), bare(true) {}
  field(std::string_view n, double v) : name(n), text(std::to_string(v)), bare(true) {}
  field(std::string_view n, const secret&) : name(n), text("***") {}
  std::string_view name;
  std::string text;
  bool bare = false;
};

// `event` is a short constant text ("upload completed"). Everything variable goes into the fields.
void write(level l, std::string_view event, std::initializer_list<field> fields = {});
inline void debug(std::string_view event, std::initializer_list<field> f = {}) { write(level::debug, event, f); }
inline void info(std::string_view event, std::initializer_list<field> f = {}) { write(level::info, event, f); }
inline void warning(std::string_view event, std::initializer_list<field> f = {}) { write(level::warning, event, f); }
inline void error(std::string_view event, std::initializer_list<field> f = {}) { write(level::error, event, f); }

// The line that write() would write, without its line end; `time` is like "2026-11-23T18:15:00.123Z". For tests.
std::string line(format how, std::string_view time, level l, std::string_view event,
                 std::initializer_list<field> fields);

} // namespace log
} // namespace postern
