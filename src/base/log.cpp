#include <postern/base/dates.hpp>
#include <postern/base/json.hpp>
#include <postern/base/log.hpp>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <chrono>

namespace postern::log {
namespace {

std::atomic<level> least_level{level::info};
std::atomic<format> line_format{format::logfmt};

std::string_view name_of(level l) {
  switch (l) {
  case level::debug: return "debug";
  case level::info: return "info";
  case level::warning: return "warning";
  case level::error: break;
  }
  return "error";
}

// spdlog writes whole lines from any thread. This unit formats them.
spdlog::logger& output() {
  static const auto logger = [] {
    auto made = spdlog::stderr_logger_mt("postern");
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

bool plain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '=' && c != '\\'; });
}

void append_value(std::string& out, format how, std::string_view text, bool bare) {
  if (bare || (how == format::logfmt && plain(text)))
    out += text;
  else
    append_json_string(out, text.substr(0, 2000));
}

} // namespace

void set_up(level least, format how) {
  least_level = least;
  line_format = how;
}

bool enabled(level l) { return l >= least_level.load(std::memory_order_relaxed); }

std::string line(format how, std::string_view time, level l, std::string_view event,
                 std::initializer_list<field> fields) {
  const bool json = how == format::json;
  std::string out = json ? "{" : "";
  const auto add = [&](std::string_view name, std::string_view text, bool bare) {
    if (out.size() > 1) out += json ? "," : " ";
    if (json)
      append_json_string(out, name);
    else
      out += name;
    out += json ? ':' : '=';
    append_value(out, how, text, bare);
  };
  add("time", time, false);
  add("level", name_of(l), false);
  add("event", event, false);
  for (const auto& f : fields) add(f.name, f.text, f.bare);
  if (json) out += '}';
  return out;
}

void write(level l, std::string_view event, std::initializer_list<field> fields) {
  if (!enabled(l)) return;
  const auto now = now_millis();
  output().log(spdlog::level::info, line(line_format, iso8601_millis(now), l, event, fields));
}

} // namespace postern::log
