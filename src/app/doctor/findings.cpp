#include <postern/app/doctor/findings.hpp>

#include <algorithm>

namespace postern::app {
namespace {

constexpr std::size_t columns = 80, label_width = 16, remedy_indent = 4;

// The columns that a terminal needs: one for each character of UTF-8.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

// Wraps `text` at blanks. The first line begins at the column `at`, the others at `indent`.
void append_wrapped(std::string& out, std::string_view text, std::size_t at, std::size_t indent) {
  bool first = true;
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    const auto width = width_of(word);
    if (!first && at + 1 + width > columns) {
      out.append("\n").append(indent, ' ');
      at = indent;
    } else if (!first) {
      out += ' ';
      ++at;
    }
    out += word;
    at += width;
    first = false;
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
}

void append_remedy(std::string& out, std::string_view remedy) {
  while (!remedy.empty()) {
    const auto line = remedy.substr(0, remedy.find('\n'));
    out.append("\n").append(line.empty() ? 0 : remedy_indent, ' ');
    if (line.starts_with(' '))
      out += line;
    else
      append_wrapped(out, line, remedy_indent, remedy_indent);
    remedy.remove_prefix(std::min(remedy.size(), line.size() + 1));
  }
}

std::string_view mark_of(verdict v) {
  switch (v) {
  case verdict::passed: return "✓";
  case verdict::warning: return "!";
  case verdict::failed: return "✗";
  case verdict::skipped: return "–";
  }
  return "?";
}

} // namespace

std::string to_text(std::string_view check, const finding& f) {
  std::string out(mark_of(f.kind));
  out.append(" ").append(check);
  const auto used = width_of(check);
  out.append(used < label_width ? label_width - used : 1, ' ');
  append_wrapped(out, f.cause, 2 + std::max(used + 1, label_width), 2 + label_width);
  append_remedy(out, f.remedy);
  return out + (f.remedy.empty() ? "\n" : "\n\n");
}

void report::hide(std::string_view text) {
  if (text.size() >= 8) hidden_.emplace_back(text);
}

void report::add(std::string_view check, const finding& f) {
  ++(f.kind == verdict::passed    ? passed_
     : f.kind == verdict::warning ? warnings_
     : f.kind == verdict::failed  ? failed_
                                  : skipped_);
  auto shown = f;
  for (auto* text : {&shown.cause, &shown.remedy})
    for (const auto& h : hidden_)
      for (auto at = text->find(h); at != text->npos; at = text->find(h, at)) text->replace(at, h.size(), "***");
  ends_with_empty_line_ = !shown.remedy.empty();
  std::fputs(to_text(check, shown).c_str(), to_);
  std::fflush(to_);
}

void report::begin_section(std::string_view title) {
  std::fprintf(to_, "%s%.*s\n", ends_with_empty_line_ ? "" : "\n", static_cast<int>(title.size()), title.data());
  ends_with_empty_line_ = false;
}

int report::finish() {
  const auto count = [](unsigned n, const char* what) {
    return n ? ", " + std::to_string(n) + " " + what : std::string{};
  };
  auto text = std::to_string(passed_) + " passed" + count(warnings_, warnings_ == 1 ? "warning" : "warnings") +
              count(failed_, "failed") + count(skipped_, "skipped");
  if (failed_) text += ". Fix the first ✗, then run `postern doctor` again";
  std::fprintf(to_, "%s%s.\n", ends_with_empty_line_ ? "" : "\n", text.c_str());
  return failed_ ? 1 : 0;
}

} // namespace postern::app
